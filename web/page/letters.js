// Dead letters: searched, looked at, and the command that replays those that match.
const FILTERS = ["reason", "column", "text", "since", "until"];
const whole = new Map();
let drawn = "";

function options(where, names) {
  if (by(where).options.length > 1) return;
  by(where).replaceChildren(...["", ...names].map((name) => {
    const made = node("option", "", name || "any");
    made.value = name;
    return made;
  }));
}
options("reason", REASONS);
options("column", []);

function showReasons(dropped) {
  for (const reason of ["", ...REASONS]) {
    let button = by(`reason-${reason}`);
    if (!button) {
      button = node("button", "", node("span", "", reason || "all"), node("b", ""));
      button.id = `reason-${reason}`;
      button.addEventListener("click", () => {
        by("reason").value = reason;
        showLetters().catch(() => {});
        by("letters-card").scrollIntoView({behavior: "smooth"});
      });
      by("reasons").append(button);
    }
    button.setAttribute("aria-pressed", String(reason === by("reason").value));
    const found = reason ? dropped[reason] : sum(Object.values(dropped));
    button.lastChild.textContent = number.format(found);
  }
}

function query() {
  const wanted = new URLSearchParams();
  for (const name of FILTERS) {
    const value = by(name).value.trim();
    if (value) wanted.set(name, by(name).type === "datetime-local" ? `${value}Z` : value);
  }
  return wanted.toString();
}

async function showLetters() {
  const wanted = query();
  const {value, error, command: replayed, columns, searched} = await ask(`dead-letters/?${wanted}`);
  if (wanted !== query()) return;
  if (columns) options("column", columns);
  say("replay", replayed || "");
  // Drawn only where it changed, so that what is being copied stays selected.
  const now = JSON.stringify([wanted, value, error, [...whole]]);
  if (now === drawn) return;
  drawn = now;
  if (!value) {
    if (error) say("letters", `Dead letters cannot be read: ${error}.`);
    return;
  }
  by("letters").replaceChildren(...value.map(letter));
  if (!value.length)
    say("letters", wanted ? `None among the newest ${number.format(searched)}.` : "None.");
  if (error) by("letters").prepend(node("p", "note", `Outdated: ${error}.`));
}

function letter(one) {
  const open = whole.get(one.id);
  const button = node("button", "", open ? "less" : "whole");
  button.addEventListener("click", async () => {
    if (!whole.delete(one.id)) whole.set(one.id, await lookAt(one.id));
    showLetters().catch(() => {});
  });
  return node("div", "letter",
    node("p", "", node("span", "reason", one.reason), ` · ${one.detail}`),
    node("code", "", open ? open.value : one.value),
    open ? node("p", "note", `key ${open.key ?? "none"} · sent ${open.sent ? utc(open.sent) : "unknown"}` +
      (open.is_cut ? ` · cut: faust -A app dead-letters show ${one.id} has all that is stored` : "")) : "",
    node("p", "note", `id ${one.id} · ${one.position} · ${utc(one.written)}` +
      (one.bytes === null ? "" : ` · ${number.format(one.bytes)} bytes`) + " ", button),
    replayable(one));
}

async function lookAt(id) {
  const {value} = await ask(`dead-letters/?id=${id}`);
  return value?.[0];
}

function replayable(one) {
  if (one.replay === "done") return node("p", "note", "Already replayed.");
  if (one.replay !== "possible") return "";
  return node("p", "note", "Today's rules accept it: ",
    command(`faust -A app dead-letters replay ${one.id}`));
}

for (const name of FILTERS) by(name).addEventListener("input", () => showLetters().catch(() => {}));
