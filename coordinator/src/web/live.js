"use strict";
const live = document.getElementById("live");
const connection = document.getElementById("connection");
const dialog = document.getElementById("dialog");
const at = id => document.getElementById(id);

// The token stands behind # in the printed address, so that it is never sent but with what changes something.
// Where the coordinator controls access, the browser asks for one of its tokens, and shows it by itself.
const may = live.dataset.may;
let token = "";
if (may === "token") try {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    localStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  token = localStorage.getItem("token") || "";
} catch { /* Whoever keeps nothing can look. */ }

const chosen = new Set(JSON.parse(sessionStorage.getItem("compare") || "[]"));

function dress() {
  const acting = may === "act" || !!token;
  for (const acts of live.querySelectorAll(".acts")) acts.hidden = !acting;
  for (const hint of live.querySelectorAll(".read-only")) {
    hint.hidden = acting;
    if (may === "look") hint.textContent = "To act on runs takes a token with the role operator; this one lets you look.";
  }
  for (const time of live.querySelectorAll("time")) time.textContent = new Date(time.dataset.s * 1000).toLocaleString();
  for (const box of live.querySelectorAll("input[data-run]")) box.checked = chosen.has(box.dataset.run);
  const compare = at("compare");
  compare.hidden = chosen.size < 2;
  compare.href = "/compare/" + [...chosen].join(",");
  compare.textContent = `Compare ${chosen.size} runs`;
}

live.addEventListener("change", event => {
  const run = event.target.dataset.run;
  if (!run) return;
  if (event.target.checked) chosen.add(run); else chosen.delete(run);
  sessionStorage.setItem("compare", JSON.stringify([...chosen]));
  dress();
});

// Pictures that are here already are not sent again: an empty element with their name stands for them.
const hasPictures = (old, fresh) => fresh.id === "pictures" && old?.id === "pictures" && old.dataset.drawn === fresh.dataset.drawn;

// Only what has changed is put in place of what was there: the rest keeps its scroll, its selection and the keyboard.
function patch(old, fresh) {
  if (hasPictures(old, fresh) || old.isEqualNode(fresh)) return;
  const same = old.nodeType === 1 && fresh.nodeType === 1 && old.tagName === fresh.tagName && old.id === fresh.id
    && old.childNodes.length === fresh.childNodes.length && old.tagName !== "svg" && old.childNodes.length > 0;
  if (!same) { old.replaceWith(fresh); return; }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const children = [...fresh.childNodes];
  [...old.childNodes].forEach((child, place) => patch(child, children[place]));
}

function show(html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  const open = new Set([...live.querySelectorAll("details[open] > summary")].map(s => s.textContent));
  const before = document.activeElement;
  const label = e => (e.getAttribute("aria-label") || e.textContent) + (e.dataset.run || "");
  const focused = before && live.contains(before) ? label(before) : null;
  if (live.childNodes.length !== fresh.childNodes.length) {
    const place = fresh.querySelector("#pictures");
    if (place && hasPictures(at("pictures"), place)) place.replaceWith(at("pictures"));
    live.replaceChildren(...fresh.childNodes);
  } else {
    const children = [...fresh.childNodes];
    [...live.childNodes].forEach((child, place) => patch(child, children[place]));
  }
  for (const summary of live.querySelectorAll("summary")) {
    if (open.has(summary.textContent)) summary.parentElement.open = true;
  }
  dress();
  if (focused !== null && !live.contains(document.activeElement)) {
    for (const element of live.querySelectorAll("a, summary, button, input")) {
      if (label(element) === focused) { element.focus({ preventScroll: true }); break; }
    }
  }
}

let loading = false, again = false, pressed = false;
// The change that the coordinator has told of last; none for whoever wants to see all that it knows.
let moment = "";
// What is shown at the end, if the coordinator ends with its run.
let last = null;

// Whoever reads can have the page stand still (WCAG 2.2.2).
const hold = at("hold");
const isHeld = () => hold.getAttribute("aria-pressed") === "true";
hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", String(!isHeld()));
  if (again && !isHeld()) load();
});

async function load() {
  // What is pressed must still be there when it is let go.
  if (loading || pressed || isHeld()) { again = true; return; }
  again = false;
  if (last !== null) { show(last); return; }
  loading = true;
  try {
    const answer = await fetch(`${live.dataset.body}?at=${moment}&drawn=${at("pictures")?.dataset.drawn ?? ""}`);
    const text = await answer.text();
    if (answer.ok && last === null) show(text);
  } catch { /* The events say when the coordinator is back. */ }
  loading = false;
  if (again && !pressed && !isHeld()) load();
}

addEventListener("pointerdown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, () => setTimeout(() => { pressed = false; if (again) load(); }, 0));
}

async function end(events) {
  try {
    const answer = await fetch(live.dataset.body);
    if (answer.ok) last = await answer.text();
  } catch { /* It has ended sooner. */ }
  events.close();
  connection.textContent = "hebbian has ended; this page stays as it is";
  load();
}

function listen() {
  const events = new EventSource(live.dataset.events);
  events.onmessage = event => { moment = event.data; load(); };
  events.onopen = () => { connection.textContent = ""; moment = ""; load(); };
  events.addEventListener("end", () => end(events));
  events.onerror = () => {
    connection.textContent = "no connection; trying again";
    if (events.readyState === EventSource.CLOSED) { events.close(); setTimeout(listen, 2000); }
  };
}

const number = (name, label, value, step) => ({ name, label, value, type: "number", step });
const asks = {
  pause: { meaning: "Nothing more of it is handed out until it is resumed." },
  resume: { meaning: "It goes on where it was." },
  cancel: { meaning: "It ends for ever. What it has found stays." },
  drain: { meaning: "It finishes what it has begun, gives the rest back and ends." },
  extend: {
    meaning: "Limits count from the run's start. Only those that the run has can be raised; leave the others empty.",
    fields: acts => [
      number("generations", "Generations in all", acts.dataset.limit, "1"),
      number("evaluations", "Candidate evaluations in all", "", "1"),
      number("target_fitness", "The best fitness that is good enough", "", "any"),
      number("time_limit_s", "Seconds of running in all", "", "1"),
    ],
  },
  fork: {
    meaning: "A new run that begins where this one was, with the same spec or a changed one.",
    fields: acts => [
      number("generations", `After how many generations (the last ones, and those with a snapshot, up to ${acts.dataset.closed})`, "", "1"),
      { name: "set", label: "Changes of the spec, KEY=VALUE, one a line, for example stop.generations=500", value: "", type: "lines" },
    ],
  },
};

// What was typed, as the request has it.
function typed() {
  const body = {};
  for (const field of at("fields").querySelectorAll("input, textarea")) {
    const text = field.value.trim();
    if (!text) continue;
    if (field.tagName === "INPUT") { body[field.name] = Number(text); continue; }
    body.set = {};
    for (const line of text.split("\n").filter(line => line.trim())) {
      const place = line.indexOf("=");
      if (place < 1) throw new Error(`"${line}" is not KEY=VALUE`);
      const value = line.slice(place + 1).trim();
      let read = value;
      try { read = JSON.parse(value); } catch { /* A text. */ }
      body.set[line.slice(0, place).trim()] = read;
    }
  }
  return body;
}

let act = null;

live.addEventListener("click", event => {
  const button = event.target.closest("button[data-act]");
  if (!button) return;
  const acts = button.closest(".acts"), what = button.dataset.act, { meaning, fields } = asks[what];
  act = { what, path: `${acts.dataset.path}/${what}` };
  at("question").textContent = `${what[0].toUpperCase()}${what.slice(1)} ${acts.dataset.name}?`;
  at("meaning").textContent = meaning;
  at("yes").textContent = `Yes, ${what}`;
  at("refused").hidden = true;
  at("fields").replaceChildren(...(fields ? fields(acts) : []).map(({ name, label, value, type, step }) => {
    const row = document.createElement("label");
    const field = document.createElement(type === "lines" ? "textarea" : "input");
    row.textContent = label;
    if (type !== "lines") { field.type = type; field.step = step; }
    field.name = name;
    field.value = value;
    row.append(field);
    return row;
  }));
  dialog.showModal();
});

at("no").addEventListener("click", () => dialog.close());
at("yes").addEventListener("click", async () => {
  const refuse = why => { at("refused").textContent = why; at("refused").hidden = false; };
  at("yes").disabled = true;
  try {
    const answer = await fetch(act.path, {
      method: "POST",
      headers: { ...(token && { "Authorization": `Bearer ${token}` }), "Content-Type": "application/json" },
      body: JSON.stringify(typed()),
    });
    const said = await answer.json();
    if (answer.status === 401 && may === "token") {
      refuse("This page's token is of an earlier start: open the address that the coordinator printed now.");
    } else if (!answer.ok) {
      refuse(said.error);
    } else {
      dialog.close();
      moment = "";
      if (act.what === "fork") location.href = "/" + said.name; else load();
    }
  } catch (error) {
    refuse(String(error.message || error));
  }
  at("yes").disabled = false;
});

dress();
// Some pages change only when they are loaded again.
if (live.dataset.events) listen(); else hold.hidden = true;
