// A click on a mark in an answer's text presses the button of that citation under the same answer, as soon as it is there: it comes after the
// text, and the answer before has a citation of the same number.
const PATIENCE = 15000 // milliseconds
let marksClicked = 0

document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest('a[href*="#cite-"]')
  if (!link) return
  event.preventDefault()
  event.stopPropagation()
  const answer = link.closest('[id^="step-"]')
  marksClicked += 1
  if (answer) pressCitation(answer.id, link.getAttribute("href").split("#cite-")[1], marksClicked, performance.now() + PATIENCE)
}, true)

function pressCitation(answer, number, click, until) {
  if (click !== marksClicked || performance.now() > until) return
  const button = document.querySelector(`#${CSS.escape(answer)} button[data-cite="${CSS.escape(number)}"]`)
  if (button) button.click()
  else setTimeout(pressCitation, 50, answer, number, click, until)
}

// The link to the admin pages is for admins; who others are is asked there, whatever the cookie says.
document.documentElement.classList.toggle("qz-admin", document.cookie.split("; ").includes("qizhen_role=admin"))

// What Chainlit leaves without a name, or marks up so that a screen reader is misled, is put right as it appears.
const NAMES = {
  "#sidebar-trigger-button": "打开或收起侧栏",
  "[data-sidebar=rail]": "打开或收起侧栏",
  "[aria-label=Suggestions]": "可选的内容",
  "#search-chats-button": "查找对话",
  "#new-chat-button": "新建对话",
  "#chat-settings-open-modal": "设置",
  "#chat-submit": "发送",
  "#upload-button": "附上文件",
  "#upload-button-input": "附上文件",
  "#stop-button": "停止回答",
  "#theme-toggle": "浅色或深色",
  "#user-nav-button": "账户",
  ".positive-feedback-off": "有帮助",
  ".positive-feedback-on": "取消“有帮助”",
  ".negative-feedback-off": "没有帮助",
  ".negative-feedback-on": "取消“没有帮助”",
  "#thread-options": "对话选项",
  "#command-查药": "查药",
  "button:has(> .lucide-arrow-left)": "关闭原文",
  "button:has(> .lucide-arrow-down)": "滚到最后",
  "button:has(> .lucide-x)": "关闭",
  "button:has(> .lucide-copy)": "复制",
  "#chat-input": "问题",
}

const mend = () => {
  for (const [place, name] of Object.entries(NAMES)) {
    for (const element of document.querySelectorAll(place)) {
      if (element.getAttribute("aria-label") !== name) element.setAttribute("aria-label", name)
    }
  }
  for (const element of document.querySelectorAll("#thread-options:not([role])")) {
    element.setAttribute("role", "button")
    element.setAttribute("tabindex", "0")
  }
  for (const element of document.querySelectorAll("[aria-controls]")) {
    const controlled = element.getAttribute("aria-controls")
    if (controlled && !document.getElementById(controlled)) element.removeAttribute("aria-controls")
  }
  // A button around a link or another button: what is inside is what is used.
  for (const element of document.querySelectorAll("button:has(a[href], #thread-options):not([role=group])")) {
    element.setAttribute("role", "group")
    element.setAttribute("tabindex", "-1")
    element.setAttribute("aria-label", element.textContent.trim() || "链接")
  }
  for (const image of document.querySelectorAll('a img:not([alt=""])')) image.alt = ""
  for (const image of document.querySelectorAll('img[alt^="Avatar for"], img[alt=logo]')) image.alt = "启真"
  for (const rail of document.querySelectorAll("[data-sidebar=rail][title='Toggle Sidebar']")) rail.title = NAMES["[data-sidebar=rail]"]
  for (const list of document.querySelectorAll("ul[data-sidebar=menu]:not([role]):has(> :not(li))")) list.setAttribute("role", "none")
  for (const item of document.querySelectorAll("ul[role=none] li:not([role])")) {
    if (item.closest("ul").getAttribute("role") === "none") item.setAttribute("role", "none")
  }
  for (const dialog of document.querySelectorAll("[role=dialog]:not([aria-label])")) {
    const named = dialog.getAttribute("aria-labelledby")
    if (named && document.getElementById(named)) continue
    dialog.removeAttribute("aria-labelledby")
    dialog.setAttribute("aria-label", dialog.querySelector(".qz-source") ? "原文" : "对话框")
  }
  const main = document.querySelector("main")
  if (main && !document.querySelector("h1")) {
    const heading = document.createElement("h1")
    heading.className = "qz-unseen"
    heading.textContent = "启真：中文医学问答"
    main.prepend(heading)
  }
}

let mending = 0
new MutationObserver(() => {
  if (!mending) mending = requestAnimationFrame(() => { mending = 0; mend() })
}).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "id", "aria-controls"] })
mend()
