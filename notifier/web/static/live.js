// Keeps the page up to date: the server says that something changed, the same page is asked for again, and what differs
// is put in its place. Without this script the page is as complete, and as old as its last reload.
"use strict";

const SLOW_POLL = 30_000; // ms, while nobody tells us
const LEAST_PAUSE = 1_000; // between two looks
const main = document.querySelector("main");
const lamp = document.querySelector("#live");
const announce = document.querySelector("#announce");

// --- putting what differs in its place: elements stay the same, and so do focus, scrolling and what is open ---

function morph(old, fresh) {
  if (old.isEqualNode(fresh) || old.hasAttribute("data-keep")) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const match = next.id ? named.get(next.id) : at && !at.id && at.nodeName === next.nodeName ? at : null;
    if (!match) {
      old.insertBefore(document.importNode(next, true), at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, next);
    else if (match.data !== next.data) match.data = next.data;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const arrived = fresh.querySelector("main#main");
  if (!arrived) {
    location.reload(); // the session is over, or the server is another: let it say so itself
    return;
  }
  const focused = document.activeElement;
  settle();
  morph(main, arrived);
  document.title = fresh.title;
  document.querySelector("footer").replaceChildren(...fresh.querySelector("footer").childNodes);
  tellTimes();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

// --- asking for the page ---

let busy = false;
let again = false;
let timer;

async function look() {
  if (busy || document.hidden) {
    again = true;
    return;
  }
  busy = true;
  again = false;
  const began = performance.now();
  try {
    const address = new URL(location.href);
    address.hash = "";
    address.searchParams.delete("retried");
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(25_000) });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.text());
    say(source && source.readyState === EventSource.OPEN ? "now" : "slow");
  } catch {
    say("lost");
  }
  // A page that takes long is not asked for as often: others want to see it too.
  setTimeout(() => {
    busy = false;
    if (again) look();
  }, Math.max(LEAST_PAUSE, 4 * (performance.now() - began)));
}

// --- being told ---

let source;
let lostAt;

function say(how) {
  lostAt = how === "lost" ? (lostAt ?? new Date()) : undefined;
  const text = {
    now: "live",
    slow: `looks every ${SLOW_POLL / 1000} s`,
    lost: `not live since ${lostAt?.toLocaleTimeString()}`,
  }[how];
  lamp.hidden = false;
  lamp.className = "";
  void lamp.offsetWidth; // so that the lamp can blink again
  lamp.className = how;
  lamp.querySelector(".text").textContent = text;
}

function listen() {
  source = new EventSource("live");
  source.addEventListener("hello", () => {
    clearTimeout(timer);
    timer = undefined;
    look();
  });
  source.addEventListener("changed", look);
  source.addEventListener("error", () => {
    timer ??= setTimeout(slowly, source.readyState === EventSource.CLOSED ? LEAST_PAUSE : 5 * LEAST_PAUSE);
  });
}

// It failed for good, or is long in coming back: look now and then, and try to be told again.
function slowly() {
  timer = setTimeout(slowly, SLOW_POLL);
  look();
  if (source.readyState === EventSource.CLOSED) listen();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && again) look();
});
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) listen();
});

// --- times: as far away as they are now, and in the reader's own zone where one points at them ---

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

function length(seconds) {
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? UNITS.at(-1);
  return `${Math.max(Math.floor(seconds / size), 1)} ${unit}`;
}

function away(seconds) {
  if (Math.abs(seconds) < 5) return "just now";
  return seconds > 0 ? `${length(seconds)} ago` : `in ${length(-seconds)}`;
}

function tellTimes() {
  for (const element of document.querySelectorAll("main time")) {
    const time = new Date(element.dateTime);
    const local = time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    const since = (Date.now() - time) / 1000;
    const kind = element.className;
    const text = kind === "at" ? local : kind === "for" ? length(since) : away(since);
    if (element.textContent !== text) element.textContent = text;
    element.title = kind === "at" ? time.toISOString() : kind === "for" ? `since ${local}` : local;
  }
}
setInterval(tellTimes, 15_000);

// --- a chart's numbers: by pointer, or with the arrow keys ---

let told; // the bar that is told of, and the line that tells

function settle() {
  if (!told) return;
  told.bar.classList.remove("on");
  told.line.textContent = told.before;
  told.line.closest(".say").classList.remove("told");
  told = undefined;
}

function tell(runs, place) {
  const bars = runs.querySelectorAll("path:not(.ground)");
  const bar = bars[place];
  if (!bar || told?.bar === bar) return bar;
  settle();
  const line = runs.parentElement.querySelector(".say bdi");
  told = { bar, place, runs, line, before: line.textContent };
  const title = bar.querySelector("title");
  if (title) {
    bar.dataset.words = title.textContent;
    title.remove(); // or the browser's own bubble says it twice
  }
  line.textContent = bar.dataset.words;
  line.closest(".say").classList.add("told");
  bar.classList.add("on");
  return bar;
}

main.addEventListener("pointermove", (event) => {
  const chart = event.target.closest(".runs .chart");
  if (!chart) return settle();
  const box = chart.getBoundingClientRect();
  const step = (9 / chart.viewBox.baseVal.width) * box.width;
  const missing = Math.round(box.width / step) - chart.querySelectorAll("path:not(.ground)").length;
  const place = Math.floor((event.clientX - box.left) / step) - missing;
  if (place < 0) settle();
  else tell(chart.closest(".runs"), place);
  return undefined;
});
main.addEventListener("pointerleave", settle);
main.addEventListener("focusout", settle);
main.addEventListener("keydown", (event) => {
  const runs = event.target.closest(".runs");
  if (!runs) return;
  const last = runs.querySelectorAll("path:not(.ground)").length - 1;
  const place = told?.runs === runs ? told.place : last + 1;
  const to = { ArrowLeft: Math.max(place - 1, 0), ArrowRight: Math.min(place + 1, last), Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const bar = tell(runs, to);
  if (bar) announce.textContent = bar.dataset.words;
});

// --- buttons: without leaving the page ---

main.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.retry");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    announce.textContent = `Delivery ${form.elements.id.value} is tried again`;
    show(text);
  } catch {
    button.disabled = false;
    form.submit(); // the browser then shows what the server has to say
  }
});

tellTimes();
listen();
