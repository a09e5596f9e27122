"use strict"

// Moments in the time of whoever reads; without this script they stand in UTC.
for (const moment of document.querySelectorAll("time[datetime]")) {
  const at = new Date(moment.dateTime)
  if (!Number.isNaN(at.getTime())) moment.textContent = at.toLocaleString("sv-SE") // 2026-11-23 11:30:02
}

// What is being done in the background: look again until it is done.
async function lookAgain() {
  try {
    const answer = await fetch(location.pathname + location.search)
    if (answer.ok) {
      const there = new DOMParser().parseFromString(await answer.text(), "text/html")
      const now = there.querySelector("[data-pending]")
      if (!now) return location.reload()
      document.querySelector("[data-pending]").replaceWith(now)
    }
  } catch {
    return // the server is away; the link still works
  }
  setTimeout(lookAgain, 1500)
}
if (document.querySelector("[data-pending]")) setTimeout(lookAgain, 1500)
