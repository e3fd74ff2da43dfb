// The engines of the NPU over time, and below them what they make of it.

const LEFT = 132, RIGHT = 14;
const LANES = [["COMPUTE", "Tensor unit"], ["LOAD", "DMA in"], ["STORE", "DMA out"]];
const CURVES = [
  ["macs", "MACs at work", 1, percent],
  ["dram", "DRAM bandwidth", data.npu && data.npu.dram_bytes_per_second, (value) => amount(value, "B/s")],
  ["sram", "SRAM in use", data.npu && data.npu.sram_bytes, bytes],
];
const LANE = 30, CURVE = 64, GAP = 12, AXIS = 24;
const work = objects(data.work), nodes = new Map(objects(data.operators).map((row) => [row.node, row]));
const view = { from: 0, to: data.cycles };

function fillOf(item) {
  return item.engine === "COMPUTE" ? `fill-${nodes.get(item.node).bound}` : `fill-${item.engine.toLowerCase()}`;
}

function ticks(from, to, count) {
  const rough = (to - from) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return found;
}

function drawTimeline() {
  const frame = byId("timeline"), width = frame.clientWidth;
  const height = AXIS + LANES.length * (LANE + 4) + CURVES.length * (CURVE + GAP) + GAP;
  const x = (cycle) => LEFT + ((cycle - view.from) / (view.to - view.from)) * (width - LEFT - RIGHT);
  frame.replaceChildren();
  const svg = make(frame, "svg", { viewBox: `0 0 ${width} ${height}`, height });
  const clip = make(make(svg, "defs"), "clipPath", { id: "inside" });
  make(clip, "rect", { x: LEFT, y: 0, width: width - LEFT - RIGHT, height });
  const scale = 1e6 / data.npu.clock_hz;
  for (const at of ticks(view.from * scale, view.to * scale, Math.max(3, width / 130))) {
    make(svg, "line", { class: "grid", x1: x(at / scale), x2: x(at / scale), y1: AXIS - 6, y2: height });
    if (x(at / scale) < width - 60) make(svg, "text", { x: x(at / scale) + 3, y: 14 }, time(at));
  }
  const inside = make(svg, "g", { "clip-path": "url(#inside)" });
  LANES.forEach(([engine, title], index) => drawLane(svg, inside, engine, title, AXIS + index * (LANE + 4), x));
  const top = AXIS + LANES.length * (LANE + 4) + GAP;
  CURVES.forEach((curve, index) => drawCurve(svg, inside, curve, top + index * (CURVE + GAP), x, width));
  for (const program of data.programs.slice(1)) {
    make(inside, "line", { class: "border", x1: x(program.start), x2: x(program.start), y1: AXIS, y2: height });
  }
}

function drawLane(svg, inside, engine, title, y, x) {
  make(svg, "text", { class: "title", x: 10, y: y + LANE / 2 + 4 }, title);
  for (const item of work) {
    if (item.engine !== engine || item.end < view.from || item.start > view.to) continue;
    const left = x(item.start), width = Math.max(x(item.end) - left, 0.7);
    const rect = make(inside, "rect", { class: `bar ${fillOf(item)}`, x: left, y, width, height: LANE, rx: width > 6 ? 2 : 0 });
    rect.item = item;
    const from = Math.max(left, LEFT), room = Math.min(x(item.end), 1e5) - from - 8;
    const letters = Math.floor(room / 6.3);
    if (letters > 3) {
      make(inside, "text", { class: "label", x: from + 4, y: y + LANE / 2 + 4 }, (item.node || item.label).slice(0, letters));
    }
  }
}

function drawCurve(svg, inside, [name, title, most, write], y, x, width) {
  const values = data.curves[name], base = y + CURVE;
  const peak = Math.max(...values.map((value) => value[1]), 0);
  make(svg, "text", { class: "title", x: 10, y: y + 14 }, title);
  make(svg, "text", { x: 10, y: y + 30 }, `peak ${write(peak)}`);
  make(svg, "text", { x: 10, y: y + 45 }, `of ${write(most)}`);
  make(svg, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: base, y2: base });
  make(svg, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y, "stroke-dasharray": "2 3" });
  let path = `M${x(0)} ${base}`, before = 0;
  for (const [cycle, value] of values) {
    path += `H${x(cycle).toFixed(1)}V${(base - (CURVE * value) / most).toFixed(1)}`;
    before = cycle;
  }
  make(inside, "path", { class: `area-${name}`, d: `${path}H${x(before)}V${base}Z` });
}

function look(from, to) {
  const wide = Math.min(Math.max(to - from, 40), data.cycles);
  view.from = Math.min(Math.max(from, 0), data.cycles - wide);
  view.to = view.from + wide;
  drawTimeline();
}

function zoom(factor, at = (view.from + view.to) / 2) {
  look(at - (at - view.from) * factor, at + (view.to - at) * factor);
}

function cycleAt(event) {
  const frame = byId("timeline").getBoundingClientRect();
  return view.from + ((event.clientX - frame.left - LEFT) / (frame.width - LEFT - RIGHT)) * (view.to - view.from);
}

function describe(item) {
  const rows = [["node", item.node || "\u2013"], ["time", `${time(microseconds(item.end - item.start))}, ${whole(item.end - item.start)} cycles`],
    ["begins", time(microseconds(item.start))]];
  if (item.bytes) rows.push(["moves", `${bytes(item.bytes)}, ${amount((item.bytes * data.npu.clock_hz) / (item.end - item.start), "B/s")}`]);
  if (item.macs) rows.push(["MACs", `${amount(item.macs, "")}, ${percent(item.macs / (item.end - item.start) / data.npu.macs_per_cycle)} of the peak`]);
  if (item.engine === "COMPUTE") rows.push(["node bound by", nodes.get(item.node).bound]);
  return rows;
}

function startTimeline() {
  const frame = byId("timeline");
  let grip = null;
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, cycleAt(event));
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => void (grip = { at: event.clientX, ...view }));
  addEventListener("pointerup", () => { grip = null; frame.classList.remove("moving"); });
  frame.addEventListener("pointermove", (event) => {
    if (grip) {
      frame.classList.add("moving");
      const moved = ((grip.at - event.clientX) / (frame.clientWidth - LEFT - RIGHT)) * (grip.to - grip.from);
      look(grip.from + moved, grip.to + moved);
    }
    const item = event.target.item;
    if (item) showTip(event, item.label, describe(item));
    else hideTip();
  });
  frame.addEventListener("pointerleave", hideTip);
  frame.addEventListener("dblclick", () => look(0, data.cycles));
  frame.addEventListener("keydown", (event) => {
    const step = (view.to - view.from) / 5;
    const keys = { ArrowLeft: () => look(view.from - step, view.to - step), ArrowRight: () => look(view.from + step, view.to + step),
      "+": () => zoom(0.6), "-": () => zoom(1.6), 0: () => look(0, data.cycles) };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  const legend = byId("legend");
  for (const [variable, text] of [["--compute", "bound by compute"], ["--floor", "bound by its floor"],
    ["--dma", "bound by DMA"], ["--load", "DRAM to SRAM"], ["--store", "SRAM to DRAM"]]) {
    const entry = make(legend, "li");
    make(entry, "i", { style: `background: var(${variable})` });
    entry.append(text);
  }
}
