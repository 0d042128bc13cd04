// Tiles of the worker that serves this page.
function showWorker(worker) {
  const {history: {samples, batches}, dropped, partitions} = worker;
  const last = samples.at(-1), lags = partitions.map((one) => one.lag);
  say("version", `flash-sale ETL ${worker.version}`);
  say("own-rate", last ? number.format(last.events) : "–");
  say("own-events", number.format(worker.events));
  say("own-rows", number.format(worker.valid));
  say("own-dropped", number.format(sum(Object.values(dropped))));
  say("duplicate", worker.duplicate
    ? `since it started, ${number.format(worker.duplicate)} duplicates skipped` : "since it started");
  say("buffered", number.format(worker.buffered));
  say("own-lag", !lags.length ? "–" : lags.includes(null) ? "unknown" : number.format(sum(lags)));
  draw("throughput", samples.map((s) => s.at), samples.map((s) => s.events), samples.map((s) => s.dropped));
  draw("waiting", samples.map((s) => s.at), samples.map((s) => s.lag), samples.map((s) => s.buffered));
  draw("batches", batches.map((b) => b.at), batches.map((b) => b.rows), batches.map((b) => b.seconds));
  const batch = batches.at(-1);
  say("batch", batch ? `· last: ${number.format(batch.rows)} rows in ${batch.seconds.toFixed(2)} s` : "");
  showQuality(worker.quality);
  showRollup(worker.rollup);
  showStorage(worker.storage);
}

function showQuality(quality) {
  by("quality").replaceChildren(...quality.map((one) => {
    const kinds = Object.entries(one.kinds).map(([kind, count]) => `${number.format(count)} ${kind}`);
    const made = row(one.field, one.what, node("td", "number", percent.format(one.share)), kinds.join(", "));
    made.className = one.is_high ? "high" : "";
    return made;
  }));
}
