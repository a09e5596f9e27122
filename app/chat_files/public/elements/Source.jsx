// The cited section, or the whole document, with the cited words marked and scrolled to.
import { useEffect, useRef } from "react"

export default function Source() {
  const cited = useRef(null)
  useEffect(() => {
    if (cited.current) cited.current.scrollIntoView({ block: "center" })
  }, [props.place.start, props.place.document, props.whole])
  const toggle = () => callAction({ name: "open_source", payload: { ...props.place, whole: !props.whole } })
  return (
    <article className="qz-source" aria-label={`${props.title} ${props.section} 原文`}>
      {props.superseded ? <p className="qz-superseded" role="note">{props.superseded}</p> : null}
      <dl>
        {(props.facts || []).map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
        ))}
      </dl>
      <button type="button" className="qz-whole" onClick={toggle}>{props.whole ? "只看这一节" : "打开全文"}</button>
      {props.page ? <a className="qz-whole" href={props.page} target="_blank" rel="noopener">药品页</a> : null}
      {(props.sections || []).map((section, index) => (
        <section key={index}>
          <h3>{section.title}</h3>
          <p>{section.before}{section.cited ? <mark ref={cited}>{section.cited}</mark> : null}{section.after}</p>
        </section>
      ))}
    </article>
  )
}
