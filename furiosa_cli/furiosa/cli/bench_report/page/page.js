// Figures, bars and the table of operators; then everything is drawn.

function figures() {
  document.title = `${data.model}: where the time goes`;
  byId("model").textContent = data.model;
  const host = data.host === "reference" ? "host steps on a reference host" : "host steps as measured on one computer";
  byId("setting").textContent = `${data.queries.toLocaleString("en-US")} queries with the ${data.workload} workload, batch ${data.batch_size}, `
    + `${data.workers} worker${data.workers > 1 ? "s" : ""} on ${data.devices.join(", ")} (${data.target}). All times are modelled, ${host}.`;
  const list = byId("figures");
  const add = (name, value, more = "") => {
    const box = make(list, "div");
    make(box, "dt", {}, name);
    const cell = make(box, "dd", {}, value);
    if (more) make(cell, "small", {}, ` ${more}`);
  };
  add("Latency, median", time(data.latency_p50_us));
  add("99th percentile", time(data.latency_p99_us));
  add("Throughput", data.queries_per_second.toLocaleString("en-US", { maximumFractionDigits: 1 }), "queries/s");
  if (data.npu) {
    const macs = work.reduce((sum, item) => sum + item.macs, 0), moved = work.reduce((sum, item) => sum + item.bytes, 0);
    add("NPU", time(data.npu_us), `${whole(data.cycles)} cycles`);
    add("MACs at work", percent(macs / data.cycles / data.npu.macs_per_cycle), `${amount(macs, "MACs")}`);
    add("DRAM traffic", bytes(moved), amount((moved * data.npu.clock_hz) / data.cycles, "B/s"));
  }
  add("Bottleneck", data.bottleneck);
}

const kindOf = (step) => ({ Execute: "compute", Send: "link", Receive: "link" })[step] || "host";

function query() {
  const total = data.query.reduce((sum, part) => sum + part.us, 0) || 1, most = Math.max(...data.query.map((part) => part.us), 1e-9);
  const stack = make(byId("query"), "div", { class: "stack" }), list = make(byId("query"), "div", { class: "parts" });
  for (const part of data.query) {
    const bar = make(stack, "div", { class: kindOf(part.step), style: `flex: ${part.us} 0 0` });
    bar.addEventListener("pointermove", (event) => showTip(event, part.step, [["time", time(part.us)], ["share", percent(part.us / total)]]));
    bar.addEventListener("pointerleave", hideTip);
    partRow(list, kindOf(part.step), part.step, part.us / most, time(part.us), percent(part.us / total));
  }
}

function partRow(list, kind, name, share, value, note) {
  make(list, "div", { class: `swatch ${kind}` });
  make(list, "div", {}, name);
  make(make(list, "div", { class: "track" }), "div", { class: kind, style: `width: ${100 * share}%` });
  make(list, "div", { class: "number" }, value);
  make(list, "div", { class: "number faint" }, note);
}

function usage() {
  byId("bottleneck").textContent = data.bottleneck === "workers"
    ? "Nothing is at work all of the time: more workers would add throughput." : `The ${data.bottleneck} bound the throughput.`.replace("NPU bound", "NPU bounds");
  const list = make(byId("usage"), "div", { class: "parts" });
  const kinds = { NPU: "compute", "host threads": "host" };
  for (const each of data.usage) partRow(list, kinds[each.resource] || "link", each.resource, each.share, percent(each.share), `of ${each.number}`);
}

const COLUMNS = [
  ["operator", "Operator", (row) => row.operator.replace("LowLevel", "")], ["node", "Node", (row) => row.node || "\u2013", "node"],
  ["cycles", "Time", (row) => time(microseconds(row.cycles)), "number"], ["cycles", "Share", null, "share"],
  ["compute", "Compute", (row) => whole(row.compute), "number"], ["wait", "Wait", (row) => whole(row.wait), "number"],
  ["floor", "Floor", (row) => whole(row.floor), "number"], ["utilisation", "MACs at work", (row) => (row.macs ? percent(row.utilisation) : ""), "number"],
  ["macs", "MACs", (row) => (row.macs ? amount(row.macs, "") : ""), "number"], ["bytes", "DRAM", (row) => (row.bytes ? bytes(row.bytes) : ""), "number"],
  ["instructions", "Instr.", (row) => whole(row.instructions), "number"], ["bound", "Bound by", null, "bound-cell"],
];

function operators() {
  const rows = objects(data.operators), table = byId("operators"), most = Math.max(...rows.map((row) => row.cycles), 1);
  let order = { column: 2, falling: true };
  const head = make(make(table, "thead"), "tr"), body = make(table, "tbody");
  COLUMNS.forEach(([, title, , kind], index) => {
    const cell = make(head, "th", kind === "number" ? { class: "number" } : {});
    make(cell, "button", { type: "button", title: kind === "number" ? "cycles, bytes or counts; click to sort" : "click to sort" }, title).addEventListener("click", () => {
      order = { column: index, falling: order.column === index ? !order.falling : kind === "number" || kind === "share" };
      fill();
    });
  });
  function fill() {
    const key = COLUMNS[order.column][0], words = byId("find").value.toLowerCase();
    const found = rows.filter((row) => `${row.operator} ${row.node} ${row.bound}`.toLowerCase().includes(words));
    found.sort((a, b) => (typeof a[key] === "number" ? a[key] - b[key] : a[key].localeCompare(b[key])) * (order.falling ? -1 : 1));
    [...head.children].forEach((cell, index) => {
      if (index === order.column) cell.setAttribute("aria-sort", order.falling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    byId("found").textContent = words ? `${found.length} of ${rows.length}` : `${rows.length} nodes`;
    body.replaceChildren();
    for (const row of found) operatorRow(body, row, most);
  }
  byId("find").addEventListener("input", fill);
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  fill();
}

function operatorRow(body, row, most) {
  const line = make(body, "tr");
  for (const [, title, write, kind] of COLUMNS) {
    const cell = make(line, "td", kind ? { class: kind } : {}, write ? write(row) : "");
    if (title === "Share") {
      const bar = make(cell, "div");
      make(bar, "span", {}, percent(row.cycles / data.cycles));
      make(bar, "i", { class: `fill-${row.bound}`, style: `width: ${(72 * row.cycles) / most}px; background: var(--${row.bound.toLowerCase()})` });
    }
    if (title === "Bound by") make(cell, "span", { class: `bound ${row.bound}` }, row.bound);
  }
}

figures();
query();
usage();
if (data.npu) {
  startTimeline();
  operators();
  const draw = () => { drawTimeline(); drawRoofline(); };
  draw();
  addEventListener("resize", draw);
} else {
  byId("npu").hidden = true;
  byId("nothing").hidden = false;
}
