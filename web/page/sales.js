// Sales, from the sums that all workers keep.
function showSales({value}) {
  if (!value) return;
  const {minutes, funnel, products} = value;
  // From the first sale on, but at least a quarter of an hour.
  const sold = minutes.findIndex((m) => m.revenue);
  const shown = sold < 0 ? [] : minutes.slice(Math.min(sold, minutes.length - 15));
  draw("minutes", shown.map((m) => Date.parse(m.minute) / 1000), shown.map((m) => m.revenue));
  say("revenue", number.format(sum(minutes.map((m) => m.revenue))));
  showFunnel(funnel);
  const best = Math.max(...products.map((one) => one.revenue), 1);
  by("products").replaceChildren(...products.map((one) => row(
    node("td", "name", one.product_id || "(none)", bar(one.revenue / best, "--green")),
    node("td", "number", number.format(one.orders)), node("td", "number", number.format(one.units)),
    node("td", "number", number.format(one.revenue)))));
}

function showFunnel({views, carts, purchases}) {
  const steps = [["view", views, "--blue"], ["add to cart", carts, "--violet"],
                 ["purchase", purchases, "--green"]];
  const most = Math.max(...steps.map((step) => step[1]), 1);
  by("funnel").replaceChildren(...steps.map(([name, found, colour], place) => {
    const before = place ? steps[place - 1][1] : 0;
    const share = before ? ` · ${percent.format(found / before)} of ${steps[place - 1][0]}s` : "";
    return node("div", "step", node("p", "", node("span", "", name, node("span", "note", share)),
      node("b", "", number.format(found))), bar(found / most, colour));
  }));
}

// Rows are summed within two rounds, so only a delay of more than a minute is mentioned.
function showRollup(rollup) {
  let note = "group, last hour, by purchases";
  if (rollup?.last_error) note = `sums are stalled: ${rollup.last_error}`;
  else if (rollup?.behind && rollup.seconds > 60)
    note += `; ${number.format(rollup.behind)} rows not summed yet, ${number.format(rollup.seconds)} s behind`;
  else if (rollup) note += `; sums ${number.format(rollup.behind)} rows behind`;
  say("summed", note);
}

function showStorage(storage) {
  if (!storage?.tables) return;
  const mb = (bytes) => `${number.format(Math.round(bytes / 1e6))} MB`;
  const growth = storage.bytes_per_day === null ? "" : `, ${mb(storage.bytes_per_day)} more a day`;
  const days = storage.full_in_days;
  say("storage", `tables: ${mb(storage.bytes)}${growth}`
    + (days === null ? "" : `, full in ${number.format(Math.round(days))} days`));
}
