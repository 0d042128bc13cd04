// Tiles of all workers, from heartbeats, the ledger and the stored offsets.
const HOURS = [1, 3, 12];
const REASONS = ["malformed", "invalid", "unstorable"];
let hours = null, ledger = null, selection = null;

function showGroup({value}, own) {
  if (!value) return;
  say("rate", value.rate < 10 ? fine.format(value.rate) : number.format(value.rate));
  say("lag", orUnknown(value.lag));
  say("running", number.format(value.running));
  const silent = value.workers.filter((one) => one.state === "silent").length;
  say("others", silent ? `running, ${silent} silent` : "running");
  showWorkers(value.workers, own);
  showPartitions(value);
}

const STATES = {
  running: (one) => one.unready ? ["bad", "not ready"] : ["good", "ready"],
  silent: (one) => ["bad", `silent for ${number.format(one.age)} s`],
  stopped: () => ["", "stopped"],
  unknown: () => ["good", "writes"],
};
function showWorkers(workers, own) {
  by("workers").replaceChildren(...workers.map((one) => {
    const [kind, text] = STATES[one.state](one);
    const state = node("td", "", node("span", `state ${kind}`, text));
    if (one.unready) state.append(node("div", "note", one.unready));
    return row(
      node("td", "", one.worker, one.worker === own ? node("span", "note", " (this one)") : ""),
      state, one.version || "an older one", one.partitions.join(", ") || "none",
      node("td", "number", fine.format(one.rate)), node("td", "number", orUnknown(one.lag)),
      one.last ? utc(one.last) : "none in 10 min");
  }));
}

function showPartitions({topic, partitions}) {
  const most = Math.max(...partitions.map((one) => one.lag || 0), 1);
  by("partitions").replaceChildren(...partitions.map((one) => row(
    node("td", "", `${topic}/${one.partition}`,
      one.worker ? "" : node("div", "note", "no worker reads it")),
    node("td", "number", orDash(one.stored)),
    node("td", "number", orUnknown(one.lag), bar(one.lag / most, "--amber")))));
}

// The ledger by minute: the totals of the last hour, and the charts.
function showHistory({value}) {
  if (!value) return;
  ledger = value;
  const start = Date.parse(value.start) / 1000;
  const dropped = value.rows.map((_, place) => sum(REASONS.map((reason) => value[reason][place])));
  const rows = sum(value.rows.slice(-60)), lost = sum(dropped.slice(-60));
  say("rows", number.format(rows));
  say("share", rows + lost ? percent.format(lost / (rows + lost)) : "–");
  say("dropped", `group, ${number.format(lost)} events`);
  const first = value.batches.findIndex((found) => found);
  const age = first < 0 ? 0 : (value.batches.length - first) / 60;
  const shown = hours || HOURS.find((one) => age <= one) || HOURS.at(-1);
  showRanges(shown);
  const from = -60 * shown;
  const at = value.rows.map((_, place) => start + 60 * place).slice(from);
  if (first < 0) { draw("history", [], [], []); draw("slowest", [], []); }
  else {
    draw("history", at, value.rows.slice(from), dropped.slice(from));
    draw("slowest", at, value.seconds.slice(from));
  }
  if (!selection) say("report", `faust -A app report --since ${shown}h`);
  showReasons(Object.fromEntries(REASONS.map((reason) => [reason, sum(value[reason])])));
}

function showRanges(shown) {
  by("ranges").replaceChildren(...HOURS.map((one) => {
    const button = node("button", "", `${one} h`);
    button.setAttribute("aria-pressed", String(one === shown));
    button.addEventListener("click", () => {
      hours = one;
      selection = null;
      charts.history.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
      showHistory({value: ledger});
    });
    return button;
  }));
}

// A point stands for the minute that begins there; the last one touched is meant, too.
function showReport(low, high) {
  const minute = (at) => `${new Date(at * 60_000).toISOString().slice(0, 16)}Z`;
  selection = [minute(Math.floor(low / 60)), minute(Math.ceil(high / 60) + 1)];
  say("report", `faust -A app report --since ${selection[0]} --until ${selection[1]}`);
}

// Sizes are noted once an hour.
function showStorage(storage) {
  if (!storage?.tables) return;
  const mb = (bytes) => `${number.format(Math.round(bytes / 1e6))} MB`;
  const {bytes, bytes_per_day: daily, full_in_days: days} = storage;
  const grow = daily === null ? "" : `, ${mb(daily)} more a day`;
  const full = days === null ? "" : `, full in ${number.format(Math.round(days))} days`;
  say("storage", `tables: ${mb(bytes)}${grow}${full}`);
}
