// The state of the worker and of its database, and the loop that keeps all of it up to date.
const POLL = 2000, HISTORY_POLL = 6000;
let answered = null, read = 0;

function pill(id, error, good, bad) {
  by(id).className = `pill ${error ? "bad" : "good"}`;
  by(id).textContent = error ? bad : good;
}
function banner(what, more) {
  by("banner").hidden = !what;
  if (what) by("banner").replaceChildren(what, node("span", "", more));
}

function showState({alive, ready, sales, group}) {
  const away = (ready || "").startsWith("the database ");
  const held = (ready || "").startsWith("the circuit breaker ");
  const error = group.error || sales.error;
  const shown = group.value || sales.value
    ? "What is shown of the group is outdated." : "The group is shown as soon as it answers.";
  pill("alive", alive, "this worker is alive", "this worker is stuck");
  pill("ready", ready, "ready", "not ready");
  pill("database", away || error, "database answers", "database error");
  if (alive) banner(`This worker is stuck: ${alive}.`, "Its platform should restart it.");
  else if (away) banner(`T${ready.slice(1)}.`,
    `Nothing is lost: events wait in Kafka, and this worker continues by itself. ${shown}`);
  else if (ready && error) banner(`This worker is not ready: ${ready}.`,
    `And the database cannot be read: ${error}. Events wait in Kafka. ${shown}`);
  else if (error) banner(`The group cannot be read from the database: ${error}.`,
    `This worker is ready and stores events. ${shown}`);
  else if (held) banner(`T${ready.slice(1)}.`,
    "Its events wait in Kafka, other partitions continue.");
  else if (ready) banner(`This worker is not ready: ${ready}.`, "Events wait in Kafka meanwhile.");
  else banner("");
}

async function look() {
  let data;
  try {
    data = await ask("data/");
  } catch (error) {
    const since = answered ? ` since ${clock(answered)}` : "";
    const what = error instanceof Refused ? `refuses this page${since}: ${error.message}` : `does not answer${since}`;
    banner(`This worker ${what}.`, "The data below is outdated; this page keeps retrying.");
    for (const id of ["alive", "ready", "database"]) by(id).className = "pill";
    by("alive").className = "pill bad";
    say("alive", error instanceof Refused ? "no access" : "this worker is gone");
    document.body.classList.add("old");
    return;
  }
  answered = new Date();
  document.body.classList.remove("old");
  say("updated", `updated ${clock(answered)}`);
  say("name", data.name);
  showState(data);
  showWorker(data.worker);
  showGroup(data.group, data.name);
  showSales(data.sales);
  if (Date.now() - read >= HISTORY_POLL) {
    read = Date.now();
    await ask("history/").then(showHistory).catch(() => {});
  }
  await showLetters().catch(() => {});
}
(async () => {
  for (;;) {
    await look();
    await new Promise((done) => setTimeout(done, POLL));
  }
})();
