// The cited section, or the whole document, with the cited words marked and scrolled to.
import { useEffect, useRef } from "react"

// Only what scrolls up and down is moved: scrollIntoView also shifts the whole page to the side while the panel is coming in.
const scrollTo = (mark) => {
  for (let place = mark.parentElement; place; place = place.parentElement) {
    if (place.scrollHeight > place.clientHeight && /auto|scroll/.test(getComputedStyle(place).overflowY)) {
      place.scrollTop += mark.getBoundingClientRect().top - place.getBoundingClientRect().top - place.clientHeight / 2
      return
    }
  }
}

export default function Source() {
  const cited = useRef(null)
  useEffect(() => {
    if (cited.current) scrollTo(cited.current)
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
