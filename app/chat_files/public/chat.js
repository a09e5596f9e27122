// A click on a mark in an answer's text presses the button of that citation under the same answer.
document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest('a[href*="#cite-"]')
  if (!link) return
  event.preventDefault()
  event.stopPropagation()
  const number = link.getAttribute("href").split("#cite-")[1]
  for (let place = link.parentElement; place; place = place.parentElement) {
    const button = place.querySelector(`button[data-cite="${CSS.escape(number)}"]`)
    if (button) {
      button.click()
      return
    }
  }
}, true)
