// The document that this conversation is answered from, with the way back to the knowledge base.
import { useState } from "react"

export default function Uploaded() {
  const [removed, setRemoved] = useState(false)
  const remove = async () => {
    await callAction({ name: "remove_document", payload: {} })
    setRemoved(true)
  }
  return (
    <div className="qz-tools">
      {removed ? <span role="status">已移除“{props.name}”</span>
        : <button type="button" onClick={remove}>移除文件，改用知识库</button>}
    </div>
  )
}
