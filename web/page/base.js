// What every tile uses: texts, numbers, elements.
const by = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const fine = new Intl.NumberFormat("en", {maximumFractionDigits: 2});
const short = new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 1});
const percent = new Intl.NumberFormat("en", {style: "percent", maximumFractionDigits: 2});
const clock = (date) => date.toLocaleTimeString("en-GB");
const utc = (text) => text.replace("T", " ").replace("Z", "");
const sum = (values) => values.reduce((a, b) => a + b, 0);
const orUnknown = (value) => value === null || value === undefined ? "unknown" : number.format(value);
const orDash = (value) => value === null || value === undefined ? "–" : number.format(value);
const FETCH_TIMEOUT = 6000;

// Every text from outside goes through here, and never through innerHTML.
function say(where, what) { by(where).textContent = what; }
function node(tag, kind, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...children.map((child) => typeof child === "number" ? String(child) : child));
  return made;
}
function row(...cells) {
  return node("tr", "", ...cells.map((cell) => cell instanceof Node ? cell : node("td", "", cell)));
}
function bar(share, colour) {
  const made = node("div", "bar");
  made.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  if (colour) made.style.background = `var(${colour})`;
  return made;
}
function command(text) { return node("code", "command", text); }

class Refused extends Error {}
async function ask(path) {
  const answer = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(FETCH_TIMEOUT)});
  if (answer.status === 401 || answer.status === 403) throw new Refused((await answer.json()).reason);
  if (!answer.ok && answer.status !== 400) throw new Error(`status ${answer.status}`);
  return answer.json();
}
