// Work against traffic: what each node reaches, and what the device allows.

function drawRoofline() {
  const frame = byId("roofline"), width = frame.clientWidth, height = 380;
  const points = objects(data.operators).filter((row) => row.macs && row.bytes).map((row) => ({
    ...row, intensity: row.macs / row.bytes, rate: (row.macs * data.npu.clock_hz) / row.cycles,
  }));
  frame.replaceChildren();
  if (!points.length) return void make(frame, "p", { class: "note" }, "No node has multiply-accumulates.");
  const peak = data.npu.macs_per_cycle * data.npu.clock_hz, slope = data.npu.dram_bytes_per_second, ridge = peak / slope;
  const xs = [...points.map((point) => point.intensity), ridge], ys = [...points.map((point) => point.rate), peak];
  const box = { left: 78, right: width - 20, top: 18, bottom: height - 44 };
  const [x0, x1] = decades(xs), [y0, y1] = decades(ys);
  const x = (value) => box.left + ((Math.log10(value) - x0) / (x1 - x0)) * (box.right - box.left);
  const y = (value) => box.bottom - ((Math.log10(value) - y0) / (y1 - y0)) * (box.bottom - box.top);
  const svg = make(frame, "svg", { viewBox: `0 0 ${width} ${height}`, height });
  for (let power = x0; power <= x1; power += 1) {
    make(svg, "line", { class: "grid", x1: x(10 ** power), x2: x(10 ** power), y1: box.top, y2: box.bottom });
    make(svg, "text", { x: x(10 ** power), y: box.bottom + 15, "text-anchor": "middle" }, amount(10 ** power, ""));
  }
  for (let power = y0; power <= y1; power += 1) {
    make(svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: y(10 ** power), y2: y(10 ** power) });
    make(svg, "text", { x: box.left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, amount(10 ** power, "MAC/s"));
  }
  make(svg, "text", { class: "title", x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, "MACs per byte of DRAM traffic");
  const foot = Math.max(10 ** x0, 10 ** y0 / slope);
  make(svg, "path", { class: "roof", d: `M${x(foot)} ${y(foot * slope)}L${x(ridge)} ${y(peak)}H${box.right}` });
  const longest = Math.max(...points.map((point) => point.cycles));
  for (const point of points.sort((a, b) => b.cycles - a.cycles)) {
    const radius = 3 + 15 * Math.sqrt(point.cycles / longest);
    const dot = make(svg, "circle", { class: `dot fill-${point.bound}`, cx: x(point.intensity), cy: y(point.rate), r: radius });
    dot.addEventListener("pointermove", (event) => showTip(event, point.node, [
      ["operator", point.operator], ["time", time(microseconds(point.cycles))], ["reaches", `${amount(point.rate, "MAC/s")}, ${percent(point.rate / peak)} of the peak`],
      ["per byte", `${point.intensity.toPrecision(3)} MACs`], ["could reach", amount(Math.min(peak, slope * point.intensity), "MAC/s")], ["bound by", point.bound],
    ]));
    dot.addEventListener("pointerleave", hideTip);
  }
  drawWhole(svg, x, y);
  make(svg, "text", { class: "title", x: box.right - 6, y: y(peak) - 6, "text-anchor": "end" }, `${amount(peak, "MAC/s")} peak`);
  const middle = Math.sqrt(foot * ridge);
  make(svg, "text", { class: "title", x: x(middle) + 8, y: y(middle * slope) + 20 }, `${amount(slope, "B/s")} DRAM`);
}

function drawWhole(svg, x, y) {
  const macs = work.reduce((sum, item) => sum + item.macs, 0), moved = work.reduce((sum, item) => sum + item.bytes, 0);
  const rate = (macs * data.npu.clock_hz) / data.cycles, [cx, cy] = [x(macs / moved), y(rate)];
  const mark = make(svg, "path", { class: "whole", d: `M${cx - 9} ${cy}L${cx} ${cy - 9}L${cx + 9} ${cy}L${cx} ${cy + 9}Z` });
  mark.addEventListener("pointermove", (event) => showTip(event, "All of it", [["time", time(microseconds(data.cycles))],
    ["reaches", amount(rate, "MAC/s")], ["per byte", `${(macs / moved).toPrecision(3)} MACs`]]));
  mark.addEventListener("pointerleave", hideTip);
}

function decades(values) {
  const logs = values.map(Math.log10);
  const low = Math.floor(Math.min(...logs)), high = Math.ceil(Math.max(...logs) + 0.05);
  return [low, Math.max(high, low + 1)];
}
