// Documents to choose from; a choice asks the same question of that document.
export default function Candidates() {
  return (
    <nav aria-label={props.label} className="qz-candidates">
      <span>{props.label}</span>
      {(props.candidates || []).map((candidate, index) => (
        <button key={index} type="button" onClick={() => sendUserMessage(candidate.question)}>
          <strong>{candidate.title}</strong>
          {candidate.about ? <small>{candidate.about}</small> : null}
        </button>
      ))}
    </nav>
  )
}
