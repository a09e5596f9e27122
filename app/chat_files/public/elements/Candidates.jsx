// Documents to choose from; a choice asks the same question of that document, or looks that drug up.
export default function Candidates() {
  const choose = (candidate) => candidate.look_up
    ? callAction({ name: "look_up", payload: { name: candidate.look_up } })
    : sendUserMessage(candidate.question)
  return (
    <nav aria-label={props.label} className="qz-candidates">
      <span>{props.label}</span>
      {(props.candidates || []).map((candidate, index) => (
        <button key={index} type="button" onClick={() => choose(candidate)}>
          <strong>{candidate.title}</strong>
          {candidate.about ? <small>{candidate.about}</small> : null}
        </button>
      ))}
    </nav>
  )
}
