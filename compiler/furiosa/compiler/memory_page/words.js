// Words and figures: the head of the page, and what the tool tip says about an item of the chart.

const chart = byId("chart"), tip = byId("tip"), find = byId("find"), picker = byId("program");

function make(parent, name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return parent.appendChild(made);
}

function figures() {
  const computing = data.compute_cycles, latency = data.npu_latency_us;
  const rows = [
    ["Target", target.name, `${target.pes} PE, batch size ${data.batch_size}`],
    ["NPU latency, modelled", latency >= 1e3 ? `${number(latency / 1e3)} ms` : `${number(latency)} µs`,
      `${number(data.npu_cycles)} cycles`],
    ["Compute engine busy, modelled", share(computing / cycles), `${number(computing)} cycles`],
    ["MAC units used, modelled", share(data.macs / cycles / target.macs_per_cycle), `${number(data.macs)} MAC`],
    ["SRAM peak", bytes(data.sram_peak_bytes), `of ${bytes(target.sram_bytes)}`],
    ["DRAM traffic", bytes(data.dram_bytes), `${number(data.dram_bytes)} bytes`],
  ];
  byId("model").textContent = data.model || "Use of SRAM";
  for (const [name, value, more] of rows) {
    const row = make(byId("figures"), "div");
    make(row, "dt", name);
    make(make(row, "dd", `${value} `), "small", more);
  }
  chart.setAttribute("aria-label", `Chart of ${shown.length} buffers in SRAM over ${number(data.npu_cycles)} ` +
    `modelled cycles of ${data.programs.length} programs. The highest address in use is ` +
    `${bytes(data.sram_peak_bytes)}. The tables below have the same content.`);
  byId("nothing").hidden = data.programs.length > 0;
  document.querySelector("main").hidden = data.programs.length === 0;
  for (const [kind, meaning] of LEGEND) {
    const entry = make(byId("legend"), "li");
    drawIn(drawIn(entry, "svg"), "rect", {class: `fill-${kind}`, width: 18, height: 12});
    entry.append(meaning);
  }
  if (data.programs.length > 1) make(picker, "option", `all ${data.programs.length} programs`, {value: ""});
  for (const [value, {name, cluster, start, end}] of data.programs.entries())
    make(picker, "option", `${name}, ${cluster}: ${time(end - start)}`, {value});
}

// What an item is, in words

const short = (text) => text.length > 300 ? `${text.slice(0, 300)}…` : text;
const also = (node) => fused.has(node) ? `${node} (with ${fused.get(node).join(", ")})` : node;
const spanOf = (item) => `${number(item.start)} to ${number(item.end)}, ${time(item.end - item.start)}`;
const ROLES = {parameters: "weights and parameters of a node", activation: "whole tensor", tile: "piece of a tensor",
  constants: "constants of the program", input: "input of the program", output: "output of the program",
  spill: "tensor that found no room in SRAM"};
const usesOf = (buffer) => [...buffer.writes, ...buffer.reads].map((index) => work[index]);

function useAt(buffer, edge) {
  const found = usesOf(buffer).find((item) => item[edge] === buffer[edge]);
  return found ? `${found.label} of ${found.node}, cycles ${number(found.start)} to ${number(found.end)}` : "";
}

function facts(item) {
  const weights = item.kind === "weights";
  if (item.tip) return [item.tip, (weights ? item.node : item.tensor) || ROLES[item.role], [
    ["Holds", ROLES[item.role] + (item.part ? `, ${item.part}` : "")], ["Node", also(item.node)],
    ["Tensor type", item.type], ["Bytes", `${number(item.size)} (${bytes(item.size)})`],
    ["Address", `${item.memory} 0x${item.address.toString(16)}`],
    ["Cycles", spanOf(item)], ["First use", useAt(item, "start")], ["Last use", useAt(item, "end")],
    ["Accesses", `${number(item.writes.length)} to write, ${number(item.reads.length)} to read`],
    ["Program", data.programs[item.program].name],
  ]];
  const long = item.end - item.start || 1;
  return [`${item.label} [${item.start}, ${item.end})`, item.node, [
    ["Engine", item.kind], ["Node", also(item.node)], ["Cycles", spanOf(item)],
    ["Bytes", item.bytes ? `${number(item.bytes)} (${bytes(item.bytes)}), ${speed(item.bytes / long)}` : ""],
    ["MACs", item.macs ? `${number(item.macs)}, ${share(item.macs / long / target.macs_per_cycle)} of the units` : ""],
    ["Program", data.programs[item.program].name],
  ]];
}

function showTip(item, x, y) {
  const [first, name, rows] = facts(item);
  tip.replaceChildren();
  make(tip, "code", first);
  make(tip, "b", short(name));
  const table = make(tip, "table");
  for (const [key, value] of rows) {
    if (!value) continue;
    const row = make(table, "tr");
    make(row, "th", key, {scope: "row"});
    make(row, "td", short(value));
  }
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  const left = x + 16 + width > window.innerWidth ? x - width - 16 : x + 16;
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${Math.max(Math.min(y + 16, window.innerHeight - height - 4), 4)}px`;
}
