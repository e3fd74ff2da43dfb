"use strict";
// The data and the chart: what is drawn where. The head of the page is in words.js, what people do in page.js.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const objects = ({columns, rows}) =>
  rows.map((row, index) => Object.fromEntries([["index", index], ...columns.map((name, k) => [name, row[k]])]));
const work = objects(data.work);
const buffers = objects(data.buffers);
const shown = buffers.filter((buffer) => buffer.memory === "SRAM");
const fused = new Map(Object.entries(data.fused));
const target = data.target;
const cycles = Math.max(data.npu_cycles, 1);

const KINDS = {parameters: "weights", constants: "weights", tile: "piece"};
const LEGEND = [
  ["weights", "weights and other parameters"], ["tensor", "whole tensors"], ["piece", "pieces of tensors"],
  ["compute", "computation"], ["load", "load from DRAM"], ["store", "store to DRAM"],
  ["busy", "compute engine busy, under it the share of its MAC units"],
];
const LANES = ["COMPUTE", "LOAD", "STORE"];
const LEFT = 104, RIGHT = 14, TOP = 18, LANE = 18, STRIP = 44, GAP = 10, AXIS = 34, BIN = 2;
const MOST_NAMES = 150;

const full = {x0: 0, x1: cycles, y0: 0, y1: Math.max(data.sram_peak_bytes * 1.06, 64)};
const view = {...full};
const size = {width: 0, memory: 0, bottom: 0};

// Numbers for people

const counted = new Intl.NumberFormat("en-US");
const number = (value) => counted.format(value);
const bytes = (value) => {
  const unit = value >= 2 ** 20 ? 2 : value >= 2 ** 10 ? 1 : 0;
  return `${+(value / 1024 ** unit).toFixed(2)} ${["B", "KiB", "MiB"][unit]}`;
};
const time = (count) => {
  const us = count * 1e6 / target.clock_hz;
  if (us < 1) return `${+(us * 1e3).toFixed(1)} ns`;
  return us < 1e3 ? `${+us.toFixed(2)} µs` : `${+(us / 1e3).toFixed(3)} ms`;
};
const share = (value) => `${(100 * value).toFixed(1)} %`;
const speed = (perCycle) => `${(perCycle * target.clock_hz / 1e9).toFixed(1)} GB/s`;

// SVG

const svg = byId("svg");

function drawIn(parent, name, attributes = {}, text = "") {
  const made = document.createElementNS(svg.namespaceURI, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text) made.textContent = text;
  return parent.appendChild(made);
}

const hatch = drawIn(drawIn(svg, "defs"), "pattern",
  {id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"});
drawIn(hatch, "rect", {width: 6, height: 6, style: "fill:var(--weights)"});
drawIn(hatch, "path", {d: "M0,0V6", style: "stroke:var(--weights-edge);stroke-width:1.5;stroke-opacity:.5"});
const grid = drawIn(svg, "g");
const panels = Object.fromEntries(
  ["memory", ...LANES, "busy", "dram"].map((name) => [name, drawIn(svg, "svg", {x: LEFT})]));
const names = drawIn(svg, "g");
const cross = ["x", "y"].map(() => drawIn(svg, "path", {class: "cross", hidden: ""}));
const box = drawIn(svg, "rect", {class: "box", hidden: ""});

const bySize = [...shown].sort((a, b) => b.size * (b.end - b.start) - a.size * (a.end - a.start));
for (const item of bySize) {
  item.kind = KINDS[item.role] || "tensor";
  item.rect = drawIn(panels.memory, "rect", {class: `item fill-${item.kind}`, "data-tip": item.tip});
}
for (const item of work) {
  item.kind = item.engine.toLowerCase();
  panels[item.engine].setAttribute("class", "bars");
  item.rect = drawIn(panels[item.engine], "rect", {class: `item fill-${item.kind}`});
}
const areas = {};
for (const [panel, kind] of [["busy", "busy"], ["busy", "compute"], ["dram", "store"], ["dram", "load"]])
  areas[kind] = drawIn(panels[panel], "path", {class: `fill-${kind}`});

// Where things are

const xOf = (cycle) => (cycle - view.x0) / (view.x1 - view.x0) * size.width;
const yOf = (address) => (view.y1 - address) / (view.y1 - view.y0) * size.memory;
const cycleAt = (x) => view.x0 + (x - LEFT) / size.width * (view.x1 - view.x0);
const addressAt = (y) => view.y1 - (y - TOP) / size.memory * (view.y1 - view.y0);
const topOf = (panel) => +panels[panel].getAttribute("y");

function layOut() {
  size.width = Math.max(svg.clientWidth - LEFT - RIGHT, 100);
  size.memory = Math.min(Math.max(window.innerHeight - 470, 260), 900);
  let y = TOP;
  for (const [name, panel] of Object.entries(panels)) {
    const height = name === "memory" ? size.memory : LANES.includes(name) ? LANE : STRIP;
    for (const [key, value] of Object.entries({y, width: size.width, height})) panel.setAttribute(key, value);
    y += height + (name === "memory" || name === LANES[2] || name === "busy" ? GAP : 1);
  }
  size.bottom = y + 8;
  svg.setAttribute("height", size.bottom + AXIS - 6);
}

function place(item, y, height, room) {
  const left = xOf(item.start), right = Math.max(xOf(item.end), left + 1.5);
  const hidden = right < 0 || left > size.width || y + height < 0 || y > room;
  item.rect.toggleAttribute("hidden", hidden);
  item.area = null;
  if (hidden) return;
  const x = Math.max(left, -5), low = Math.min(y + height, room + 5), high = Math.max(y, -5);
  item.area = {x, y: high, width: Math.min(right, size.width + 5) - x, height: low - high};
  for (const key in item.area) item.rect.setAttribute(key, item.area[key].toFixed(2));
  item.rect.classList.toggle("thin", height < 4);
}

function stepOf(span, most) {
  const least = span / Math.max(most, 1), unit = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((step) => step >= least);
}

function* ticks(from, to, step) {
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) yield at;
}

function draw() {
  grid.replaceChildren();
  names.replaceChildren();
  drawAxes();
  for (const item of shown) {
    const high = yOf(item.address + item.size), low = yOf(item.address);
    place(item, high, Math.max(low - high, 1.5), size.memory);
  }
  for (const item of work) place(item, 2, LANE - 4, LANE);
  drawNames();
  drawStrips();
}

function label(x, y, text, attributes = {}) {
  drawIn(names, "text", {x, y, ...attributes}, text);
}

function drawAxes() {
  const right = LEFT + size.width;
  for (const [name, panel] of Object.entries(panels))
    drawIn(grid, "rect",
      {class: "frame", x: LEFT, y: topOf(name), width: size.width, height: panel.getAttribute("height")});
  const step = Math.max(stepOf(view.x1 - view.x0, size.width / 110), 1);
  for (const at of ticks(view.x0, view.x1, step)) {
    const x = LEFT + xOf(at);
    drawIn(grid, "path", {class: "grid", d: `M${x},${TOP}V${size.bottom}`});
    label(x, size.bottom + 6, number(at), {"text-anchor": "middle"});
    label(x, size.bottom + 20, at ? time(at) : "0", {"text-anchor": "middle"});
  }
  label(6, size.bottom + 6, "cycles");
  label(6, size.bottom + 20, "time, modelled");
  const rows = (view.y1 - view.y0) / Math.max(size.memory / 40, 1);
  const stride = Math.max(2 ** Math.ceil(Math.log2(rows)), 1);
  for (const at of ticks(view.y0, view.y1, stride)) {
    const y = TOP + yOf(at);
    drawIn(grid, "path", {class: "grid", d: `M${LEFT},${y}H${right}`});
    label(LEFT - 8, y + 4, stride < 1024 ? `0x${at.toString(16)}` : bytes(at), {"text-anchor": "end"});
  }
  label(LEFT - 8, 11, "SRAM address", {"text-anchor": "end"});
  for (const lane of LANES) label(LEFT - 8, topOf(lane) + 13, lane.toLowerCase(), {"text-anchor": "end"});
  for (const [strip, most] of [["busy", "100 %"], ["dram", speed(target.dram_bytes_per_second / target.clock_hz)]]) {
    label(LEFT - 8, topOf(strip) + 10, most, {"text-anchor": "end"});
    label(LEFT - 8, topOf(strip) + STRIP - 2, strip === "busy" ? "compute" : "DRAM", {"text-anchor": "end"});
  }
  drawMarks(right);
}

function drawMarks(right) {
  drawPeak(target.sram_bytes, LEFT, right, "end of SRAM");
  for (const program of data.programs) {
    const x = LEFT + xOf(program.start), from = Math.max(x, LEFT), to = Math.min(LEFT + xOf(program.end), right);
    if (from >= to) continue;
    drawPeak(program.sram_peak_bytes, from, to, `SRAM peak ${bytes(program.sram_peak_bytes)}`);
    if (data.programs.length < 2) continue;
    if (x >= LEFT) drawIn(names, "path", {class: "border", d: `M${x},2V${size.bottom}`});
    if (to - from > 80) label(from + 4, 12, program.name, {class: "border-name"});
  }
}

function drawPeak(at, from, to, text) {
  const y = TOP + yOf(at);
  if (y < TOP || y > TOP + size.memory) return;
  drawIn(names, "path", {class: "peak", d: `M${from},${y}H${to}`});
  if (to - from > 140) label(to - 6, y - 4, text, {"text-anchor": "end", class: "peak-name"});
}

function drawNames() {
  let room = MOST_NAMES;
  for (const item of bySize) {
    if (!item.area) continue;
    const {x, y, width, height} = item.area;
    const from = Math.max(x, 0), to = Math.min(x + width, size.width), most = Math.floor((to - from - 8) / 6.2);
    const high = Math.max(y, 0), low = Math.min(y + height, size.memory);
    const name = item.node || item.tensor;
    if (most < 4 || low - high < 12 || !name) continue;
    const text = name.length > most ? `…${name.slice(1 - most)}` : name;
    label(LEFT + (from + to) / 2, TOP + (high + low) / 2 + 4, text, {class: "name", "text-anchor": "middle"});
    if (!--room) return;
  }
}

// Rates over time: what happens in each bin of the visible cycles, a cycle.

function rates() {
  const count = Math.ceil(size.width / BIN), width = (view.x1 - view.x0) / count;
  const sums = {busy: new Float64Array(count), macs: new Float64Array(count), load: new Float64Array(count),
    store: new Float64Array(count)};
  for (const item of work) {
    if (item.end <= view.x0 || item.start >= view.x1 || item.end === item.start) continue;
    const compute = item.engine === "COMPUTE", long = item.end - item.start;
    const first = Math.max(Math.floor((item.start - view.x0) / width), 0);
    const last = Math.min(Math.ceil((item.end - view.x0) / width), count);
    for (let bin = first; bin < last; bin++) {
      const from = view.x0 + bin * width;
      const part = Math.max(Math.min(item.end, from + width) - Math.max(item.start, from), 0) / width;
      if (compute) {
        sums.busy[bin] += part;
        sums.macs[bin] += part * item.macs / long / target.macs_per_cycle;
      } else sums[item.kind][bin] += part * item.bytes / long;
    }
  }
  return sums;
}

let rate = null;

function drawStrips() {
  rate = rates();
  const peak = target.dram_bytes_per_second / target.clock_hz;
  const area = (kind, value) => {
    let path = `M0,${STRIP}`;
    for (let bin = 0; bin < rate.busy.length; bin++)
      path += `V${(STRIP * (1 - Math.min(value(bin), 1))).toFixed(1)}H${(bin + 1) * BIN}`;
    areas[kind].setAttribute("d", `${path}V${STRIP}Z`);
  };
  area("busy", (bin) => rate.busy[bin]);
  area("compute", (bin) => rate.macs[bin]);
  area("store", (bin) => (rate.load[bin] + rate.store[bin]) / peak);
  area("load", (bin) => rate.load[bin] / peak);
}

let pending = false;

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; draw(); });
}

// Moving about

function look(x0, x1, y0 = view.y0, y1 = view.y1) {
  const fit = (from, to, least, most) => {
    const span = Math.min(Math.max(to - from, least), most), middle = (from + to) / 2;
    const start = Math.min(Math.max(middle - span / 2, 0), most - span);
    return [start, start + span];
  };
  [view.x0, view.x1] = fit(x0, x1, Math.min(40, cycles), cycles);
  [view.y0, view.y1] = fit(y0, y1, 64, Math.max(target.sram_bytes * 1.04, full.y1));
  redraw();
}

const lookAtAll = () => look(full.x0, full.x1, full.y0, full.y1);

function zoom(x, y, cycle = (view.x0 + view.x1) / 2, address = (view.y0 + view.y1) / 2) {
  look(cycle - (cycle - view.x0) * x, cycle + (view.x1 - cycle) * x,
    address - (address - view.y0) * y, address + (view.y1 - address) * y);
}

function move(x, y) {
  const dx = x * (view.x1 - view.x0), dy = y * (view.y1 - view.y0);
  look(view.x0 + dx, view.x1 + dx, view.y0 + dy, view.y1 + dy);
}
