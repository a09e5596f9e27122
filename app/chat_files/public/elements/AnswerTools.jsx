// Under every answer: copy it with its sources, take the conversation away as a file.
import { useState } from "react"

// Where the page is not served over HTTPS browsers give no clipboard; the older way of copying still works there.
const copyBySelection = (text, html) => {
  const put = (event) => {
    event.preventDefault()
    event.clipboardData.setData("text/plain", text)
    event.clipboardData.setData("text/html", html)
  }
  document.addEventListener("copy", put)
  const done = document.execCommand("copy")
  document.removeEventListener("copy", put)
  return done
}

const copy = async (text, html) => {
  if (navigator.clipboard && window.ClipboardItem) {
    try {
      await navigator.clipboard.write([new ClipboardItem({
        "text/plain": new Blob([text], { type: "text/plain" }),
        "text/html": new Blob([html], { type: "text/html" }),
      })])
      return true
    } catch (refused) {
      // A browser that was not allowed to; the other way is tried.
    }
  }
  return copyBySelection(text, html)
}

export default function AnswerTools() {
  const [told, setTold] = useState("")
  const press = async () => {
    const done = await copy(props.text, props.html)
    setTold(done ? "已复制" : "浏览器不允许复制，请选中文字后复制")
    setTimeout(() => setTold(""), 4000)
  }
  return (
    <div className="qz-tools">
      <button type="button" onClick={press}>复制（含来源）</button>
      {(props.others || []).map((other) => (
        <button key={other.name} type="button" onClick={() => callAction({ name: "retry", payload: { question: props.question, generator: other.name } })}>
          换用“{other.label}”再答</button>
      ))}
      {props.thread ? <span>导出这次对话：<a href={`/conversations/${props.thread}.docx`} download>Word</a>{" "}
        <a href={`/conversations/${props.thread}.pdf`} target="_blank" rel="noopener">PDF</a></span> : null}
      <span role="status">{told}</span>
    </div>
  )
}
