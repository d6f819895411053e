"use strict";
const live = document.getElementById("live");
const connection = document.getElementById("connection");
let loading = false, again = false;

async function load() {
  if (loading) { again = true; return; }
  loading = true;
  try {
    const answer = await fetch(live.dataset.body);
    if (answer.ok) {
      // What is open stays open, and what has the keyboard keeps it.
      const open = new Set([...live.querySelectorAll("details[open] > summary")].map(s => s.textContent));
      const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement.textContent : null;
      live.innerHTML = await answer.text();
      for (const summary of live.querySelectorAll("summary")) {
        if (open.has(summary.textContent)) summary.parentElement.open = true;
      }
      if (focused) {
        for (const element of live.querySelectorAll("a, summary")) {
          if (element.textContent === focused) { element.focus({ preventScroll: true }); break; }
        }
      }
    }
  } catch { /* The events say when the coordinator is back. */ }
  loading = false;
  if (again) { again = false; load(); }
}

function listen() {
  const events = new EventSource(live.dataset.events);
  events.onmessage = load;
  events.onopen = () => { connection.textContent = ""; };
  events.onerror = () => {
    connection.textContent = "no connection; trying again";
    if (events.readyState === EventSource.CLOSED) { events.close(); setTimeout(listen, 2000); }
  };
}
listen();
