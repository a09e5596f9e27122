"use strict"

// Moments in the time of whoever reads; without this script they stand in UTC.
for (const moment of document.querySelectorAll("time[datetime]")) {
  const at = new Date(moment.dateTime)
  if (!Number.isNaN(at.getTime())) moment.textContent = at.toLocaleString("sv-SE") // 2026-11-23 11:30:02
}
