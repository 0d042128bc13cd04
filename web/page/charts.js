// Charts over time. One without data says so instead of showing axes.
function chart(where, series, {margin = 0, scales, selected} = {}) {
  const axis = (more) => ({
    stroke: () => css("--soft"), font: "12px system-ui, sans-serif", ...more,
    grid: {stroke: () => css("--line"), width: 1}, ticks: {show: false},
  });
  const values = (u, found) => found.map((value) => value < 1 ? fine.format(value) : short.format(value));
  // Of a single point uPlot would make a day.
  const span = ({data: [at]}) => at.length
    ? [Math.min(at[0], at.at(-1) - 60) - margin, at.at(-1) + margin] : [0, 60];
  const options = {
    width: by(where).clientWidth, height: 190, legend: {show: false},
    cursor: {drag: {x: Boolean(selected), y: false, setScale: false}},
    hooks: selected ? {setSelect: [(u) => u.select.width > 4 && selected(
      u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"))]} : {},
    scales: {
      x: {time: true, range: span},
      y: {range: (u, low, high) => [0, Math.max(high || 0, 1) * 1.08]}, ...scales,
    },
    axes: [axis({size: 30, space: 70, values: (u, found, axis, space, step) =>
             found.map((at) => clock(new Date(at * 1000)).slice(0, step < 60 ? 8 : 5))}),
           axis({size: 52, values}),
           ...(scales?.s ? [axis({scale: "s", side: 1, size: 52, grid: {show: false},
             values: (u, found) => found.map((value) => `${fine.format(value)} s`)})] : [])],
    series: [{}, ...series.map(([stroke, more]) => ({
      stroke: () => css(stroke), width: 2, points: {show: false}, ...more,
    }))],
  };
  const made = new uPlot(options, [[], ...series.map(() => [])], by(where));
  by(where).classList.add("empty");
  new ResizeObserver(() => made.setSize({width: by(where).clientWidth, height: 190})).observe(by(where));
  return made;
}
function draw(name, ...data) {
  by(name).dataset.empty = by(name).dataset.none;
  by(name).classList.toggle("empty", !data[0].length);
  charts[name].setData(data);
}

const soft = (name) => ({fill: () => css(name)});
const bars = {paths: uPlot.paths.bars({size: [0.75, 24]}), width: 0};
const seconds = {s: {range: (u, low, high) => [0, Math.max(high || 0, 0.1) * 1.08]}};
const fraction = {y: {range: (u, low, high) => [0, Math.max(high || 0, 0.1) * 1.08]}};
const charts = {
  history: chart("history", [["--green", soft("--green-soft")], ["--red", {}]],
                 {selected: (low, high) => showReport(low, high)}),
  minutes: chart("minutes", [["--green", {...bars, fill: () => css("--green")}]], {margin: 30}),
  slowest: chart("slowest", [["--violet", soft("--violet-soft")]], {scales: fraction}),
  throughput: chart("throughput", [["--blue", soft("--blue-soft")], ["--red", {}]]),
  waiting: chart("waiting", [["--amber", {}], ["--violet", {}]]),
  batches: chart("batches", [["--violet", {...bars, fill: () => css("--violet-soft")}],
                             ["--green", {scale: "s"}]], {margin: 3, scales: seconds}),
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const one of Object.values(charts)) one.redraw(false, true);
});
