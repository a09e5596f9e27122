// A drug that was looked up: what it is, what it must not be mistaken for, its sections, its sources.
export default function DrugCard() {
  const cite = (section) => callAction({ name: "open_source", payload: { ...section.place, whole: false } })
  return (
    <article className="qz-card" aria-label={`${props.title} 药品卡`}>
      <h3>{props.title}</h3>
      {props.about ? <p>{props.about}</p> : null}
      {props.forms.length ? <p>{props.forms.join("；")}</p> : null}
      {props.aliases.length ? <p className="qz-faint">又名：{props.aliases.join("、")}</p> : null}
      {props.warned.length ? (
        <div className="qz-warned" role="note" aria-label="易混药名">
          {props.warned.map((near, index) => (
            <p key={index}><strong>勿与“<a href={near.page} target="_blank" rel="noopener">{near.title}</a>”混淆</strong>
              {near.difference ? `：${near.difference}` : null}</p>
          ))}
        </div>
      ) : null}
      {props.sections.map((section, index) => (
        <details key={index} open={section.open}>
          <summary>{section.title}{section.origin ? <small> {section.origin}</small> : null}</summary>
          <p>{section.text}</p>
          <button type="button" aria-label={`打开原文：${props.title} ${section.title}`} onClick={() => cite(section)}>打开原文</button>
        </details>
      ))}
      <p className="qz-faint">来源</p>
      <ul>
        {props.sources.map((source, index) => (
          <li key={index}>{source.label} <a href={source.page} target="_blank" rel="noopener">药品页</a></li>
        ))}
      </ul>
      <p className="qz-faint">知识库版本 {props.release}</p>
    </article>
  )
}
