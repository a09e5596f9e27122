// Sources under an answer: one row for every cited section, one button for every citation.
export default function Sources() {
  const open = (citation) => callAction({ name: "open_source", payload: { ...citation, whole: false } })
  return (
    <nav aria-label="来源" className="qz-sources">
      <div className="qz-sources-title">来源</div>
      <ul>
        {(props.rows || []).map((row, index) => (
          <li key={index}>
            <span className="qz-marks">
              {row.citations.map((citation) => (
                <button key={citation.number} type="button" data-cite={citation.number} onClick={() => open(citation)}
                  aria-label={`打开引用 ${citation.number}：${row.label}`}>[{citation.number}]</button>
              ))}
            </span>
            <span>{row.label}{row.superseded ? <em className="qz-superseded">{row.superseded}</em> : null}</span>
          </li>
        ))}
      </ul>
    </nav>
  )
}
