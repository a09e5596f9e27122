"use strict"

// The look-up field as an ARIA combobox with a list box; without this script the form asks the server.
function combobox(input) {
  const drop = input.parentElement.querySelector(".drop")
  const status = input.form.querySelector("[role=status]")
  let active = -1
  let asking = null

  const options = () => [...drop.querySelectorAll("[role=option]")]
  const close = () => {
    drop.hidden = true
    active = -1
    input.setAttribute("aria-expanded", "false")
    input.removeAttribute("aria-activedescendant")
  }
  const activate = (index) => {
    const found = options()
    active = found.length ? (index + found.length) % found.length : -1
    found.forEach((option, number) => option.setAttribute("aria-selected", String(number === active)))
    if (active < 0) return
    input.setAttribute("aria-activedescendant", found[active].id)
    found[active].scrollIntoView({ block: "nearest" })
  }
  const open = (option) => {
    const here = new URL(location.href) // "back" comes back to what was typed
    here.searchParams.set(input.name, input.value)
    if (input.name === "q") history.replaceState(null, "", here)
    location.assign(option.dataset.href)
  }
  const ask = async () => {
    if (asking) asking.abort()
    if (!input.value.trim()) return close()
    asking = new AbortController()
    const address = new URL(input.dataset.suggest, location.href)
    for (const other of input.form.querySelectorAll("input[name=drug]")) address.searchParams.append("drug", other.value)
    address.searchParams.set("q", input.value)
    try {
      const answer = await fetch(address, { signal: asking.signal })
      if (!answer.ok) return close()
      drop.innerHTML = await answer.text() // our own page, every name in it escaped
    } catch {
      return // asked anew, or the server is away: the form still works
    }
    drop.hidden = false
    active = -1
    input.setAttribute("aria-expanded", String(options().length > 0))
    input.removeAttribute("aria-activedescendant")
    status.textContent = drop.querySelector(".told").textContent
  }

  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": "options", "aria-autocomplete": "list" })) {
    input.setAttribute(name, value)
  }
  input.addEventListener("input", (event) => event.isComposing || ask())
  input.addEventListener("compositionend", ask)
  input.addEventListener("blur", close)
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) {
      event.preventDefault()
      if (drop.hidden) ask()
      else activate(active < 0 && step < 0 ? -1 : active + step)
    } else if (event.key === "Escape" && !drop.hidden) {
      event.preventDefault()
      close()
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault()
      open(options()[active])
    }
  })
  drop.addEventListener("mousedown", (event) => event.preventDefault()) // the field keeps the focus
  drop.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]")
    if (option) open(option)
  })
  if (!document.querySelector(".results, .summary")) input.focus()
}

for (const input of document.querySelectorAll("input[data-suggest]")) combobox(input)
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false
  button.addEventListener("click", () => window.print())
}
