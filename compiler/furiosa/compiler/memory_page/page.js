// What people do with the page: choose, search, read tables; mouse and keyboard.

// The item under the pointer, and the chosen one

let hovered = null, chosen = null, matches = null;

function mark(item, name, on) {
  if (!item) return;
  if (item.rect) item.rect.classList.toggle(name, on);
  const touches = (buffer) => buffer.writes.includes(item.index) || buffer.reads.includes(item.index);
  const others = item.tip ? usesOf(item) : shown.filter(touches);
  for (const other of others) other.rect.classList.toggle("near", on);
}

function itemAt(x, y) {
  let best = null, least = Infinity;
  for (const [items, panel] of [[shown, "memory"], ...LANES.map((lane) => [work, lane])]) {
    const top = topOf(panel), height = +panels[panel].getAttribute("height");
    if (y < top || y > top + height) continue;
    for (const item of items) {
      if (!item.area || (item.engine && item.engine !== panel)) continue;
      const dx = Math.max(item.area.x - (x - LEFT), x - LEFT - item.area.x - item.area.width, 0);
      const dy = Math.max(item.area.y - (y - top), y - top - item.area.y - item.area.height, 0);
      const cost = 1e6 * Math.hypot(dx, dy) + Math.min(item.area.width * item.area.height, 1e6);
      if (dx < 4 && dy < 4 && cost < least) [best, least] = [item, cost];
    }
  }
  return best;
}

function choose(item) {
  mark(chosen, "chosen", false);
  chosen = item;
  mark(chosen, "chosen", true);
  if (!item || !item.rect) return void (tip.hidden = true);
  reveal(item);
  draw();
  const frame = svg.getBoundingClientRect();
  if (item.area) showTip(item, frame.left + LEFT + Math.min(Math.max(item.area.x + item.area.width, 0), size.width),
    frame.top + topOf(item.engine || "memory") + item.area.y);
}

function reveal(item) {
  const wide = view.x1 - view.x0, high = view.y1 - view.y0, long = item.end - item.start;
  const middle = (item.start + item.end) / 2, center = item.address + item.size / 2;
  const near = item.start >= view.x0 && item.end <= view.x1 && long > wide / 100;
  const x = near ? [view.x0, view.x1] : [middle - Math.max(long * 4, 20), middle + Math.max(long * 4, 20)];
  const inside = item.address >= view.y0 && item.address + item.size <= view.y1 && item.size > high / 200;
  look(...x, ...(inside || item.engine ? [view.y0, view.y1] : [center - item.size * 10, center + item.size * 10]));
}

function closeUp(item) {
  const long = Math.max(item.end - item.start, 20) * 0.15;
  if (item.engine) return look(item.start - long, item.end + long);
  look(item.start - long, item.end + long, item.address - item.size * 0.15, item.address + item.size * 1.15);
}

const inTime = [...shown].sort((a, b) => a.start - b.start || a.address - b.address);

function go(step) {
  const row = matches ? inTime.filter((item) => matches.has(item)) : inTime;
  const at = row.includes(chosen) ? row.indexOf(chosen) : Math.min(-step, 0);
  if (row.length) choose(row[(at + step + row.length) % row.length]);
}

// Search

const textOf = (item) => [item.tensor, item.node, ...(item.tip ? usesOf(item).map((u) => u.node) : [])]
  .flatMap((name) => name ? [name, ...(fused.get(name) || [])] : []).join("\n").toLowerCase();

function search() {
  const wanted = find.value.trim().toLowerCase();
  const matching = (item) => (item.text ??= textOf(item)).includes(wanted);
  matches = wanted ? new Set([...buffers, ...work].filter(matching)) : null;
  svg.classList.toggle("searching", Boolean(wanted));
  for (const item of [...shown, ...work]) item.rect.classList.toggle("match", Boolean(matches && matches.has(item)));
  const found = matches ? shown.filter((item) => matches.has(item)).length : 0;
  const done = matches ? work.filter((item) => matches.has(item)).length : 0;
  byId("found").textContent = matches ? `${found} of ${shown.length} buffers, ${done} instructions` : "";
  for (const fill of tables) fill();
}

// Tables: the same content for those who cannot see the chart

const BUFFER_COLUMNS = [
  ["Buffer", (b) => `T${b.index}`], ["Tensor or node", (b) => b.tensor], ["Node", (b) => also(b.node)],
  ["Holds", (b) => ROLES[b.role]], ["Part", (b) => b.part], ["Type", (b) => b.type], ["Bytes", (b) => b.size],
  ["Memory", (b) => b.memory], ["Address", (b) => `0x${b.address.toString(16)}`], ["First cycle", (b) => b.start],
  ["Last cycle", (b) => b.end], ["First use", (b) => useAt(b, "start")], ["Last use", (b) => useAt(b, "end")],
  ["Program", (b) => data.programs[b.program].name],
];
const WORK_COLUMNS = [
  ["Number", (w) => `#${w.index}`], ["Engine", (w) => w.kind], ["Instruction", (w) => w.label],
  ["Node", (w) => also(w.node)], ["First cycle", (w) => w.start], ["Last cycle", (w) => w.end],
  ["Bytes", (w) => w.bytes], ["MACs", (w) => w.macs], ["Program", (w) => data.programs[w.program].name],
];

function table(id, items, columns) {
  const place = byId(id), frame = make(place, "div", "", {class: "scroll", tabindex: 0});
  const fill = () => {
    if (!place.open) return;
    frame.replaceChildren();
    const grid = make(frame, "table"), head = make(make(grid, "thead"), "tr"), body = make(grid, "tbody");
    for (const [name] of columns) make(head, "th", name, {scope: "col"});
    for (const item of items) {
      if (matches && !matches.has(item)) continue;
      const row = make(body, "tr");
      columns.forEach(([, value], k) => {
        const content = value(item), cell = make(row, "td", typeof content === "number" ? number(content) : content);
        if (typeof content === "number") cell.className = "number";
        if (k || !item.rect) return;
        cell.textContent = "";
        make(cell, "button", content, {type: "button"}).addEventListener("click", () => {
          chart.scrollIntoView({block: "nearest"});
          choose(item);
        });
      });
    }
  };
  place.addEventListener("toggle", fill);
  return fill;
}

const tables = [table("buffers", buffers, BUFFER_COLUMNS), table("work", work, WORK_COLUMNS)];

// Mouse and touch

const placeOf = (event) => {
  const frame = svg.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
};
let drag = null;

chart.addEventListener("wheel", (event) => {
  event.preventDefault();
  const [x, y] = placeOf(event), sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) && !event.shiftKey;
  const factor = Math.exp(Math.max(Math.min(event.deltaY || event.deltaX, 200), -200) * 0.002);
  if (sideways) move(event.deltaX / size.width, 0);
  else if (event.shiftKey) zoom(1, factor, cycleAt(x), addressAt(y));
  else zoom(factor, 1, cycleAt(x), addressAt(y));
}, {passive: false});

chart.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  const [x, y] = placeOf(event);
  drag = {x, y, from: {...view}, select: event.shiftKey, far: false};
  chart.setPointerCapture(event.pointerId);
});

chart.addEventListener("pointermove", (event) => {
  const [x, y] = placeOf(event);
  if (!drag) return hover(event, x, y);
  drag.far = drag.far || Math.hypot(x - drag.x, y - drag.y) > 4;
  if (!drag.far) return;
  tip.hidden = true;
  if (drag.select) {
    const width = Math.abs(x - drag.x), height = Math.abs(y - drag.y);
    const area = {x: Math.min(x, drag.x), y: Math.min(y, drag.y), width, height};
    for (const key in area) box.setAttribute(key, area[key]);
    box.toggleAttribute("hidden", false);
    return;
  }
  chart.classList.add("moving");
  const {x0, x1, y0, y1} = drag.from;
  const dx = (drag.x - x) / size.width * (x1 - x0), dy = (y - drag.y) / size.memory * (y1 - y0);
  look(x0 + dx, x1 + dx, y0 + dy, y1 + dy);
});

chart.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const [x, y] = placeOf(event), {far, select} = drag, start = drag;
  endDrag();
  if (!far) return chooseAt(x, y);
  if (!select) return;
  const ordered = (a, b) => [Math.min(a, b), Math.max(a, b)];
  const addresses = start.y < TOP + size.memory ? ordered(addressAt(start.y), addressAt(y)) : [];
  look(...ordered(cycleAt(start.x), cycleAt(x)), ...addresses);
});
chart.addEventListener("pointercancel", () => endDrag());

function endDrag() {
  drag = null;
  chart.classList.remove("moving");
  box.toggleAttribute("hidden", true);
}

function chooseAt(x, y) {
  mark(chosen, "chosen", false);
  chosen = itemAt(x, y);
  mark(chosen, "chosen", true);
}

function hover(event, x, y) {
  const item = itemAt(x, y);
  if (item !== hovered) {
    mark(hovered, "near", false);
    mark(chosen, "chosen", true);
    hovered = item;
    mark(hovered, "near", true);
  }
  if (item) showTip(item, event.clientX, event.clientY);
  else tip.hidden = true;
  const inside = x >= LEFT && x <= LEFT + size.width && y >= TOP && y <= size.bottom;
  for (const line of cross) line.toggleAttribute("hidden", !inside);
  byId("readout").textContent = inside ? readout(x, y) : "";
  cross[0].setAttribute("d", `M${x},${TOP}V${size.bottom}`);
  cross[1].setAttribute("d", y < TOP + size.memory ? `M${LEFT},${y}H${LEFT + size.width}` : "");
}

function readout(x, y) {
  const at = cycleAt(x), bin = Math.min(Math.floor((x - LEFT) / BIN), rate.busy.length - 1);
  const live = shown.reduce((sum, item) => item.start <= at && at < item.end ? sum + item.size : sum, 0);
  const address = y < TOP + size.memory ? `, address 0x${Math.max(Math.floor(addressAt(y)), 0).toString(16)}` : "";
  const moved = speed(rate.load[bin] + rate.store[bin]);
  return `Cycle ${number(Math.floor(at))} (${time(at)})${address}: ${bytes(live)} of SRAM in use, compute engine ` +
    `${share(rate.busy[bin])} busy, MAC units ${share(rate.macs[bin])}, DRAM ${moved}`;
}

chart.addEventListener("pointerleave", () => {
  mark(hovered, "near", false);
  hovered = null;
  tip.hidden = true;
  for (const line of cross) line.toggleAttribute("hidden", true);
  byId("readout").textContent = "";
});
chart.addEventListener("dblclick", (event) => {
  const item = itemAt(...placeOf(event));
  if (item) closeUp(item);
  else lookAtAll();
});

// Keyboard, buttons, programs

const KEYS = {
  ArrowLeft: (shift) => shift ? zoom(1.4, 1) : move(-0.1, 0),
  ArrowRight: (shift) => shift ? zoom(1 / 1.4, 1) : move(0.1, 0),
  ArrowUp: (shift) => shift ? zoom(1, 1 / 1.4) : move(0, 0.1),
  ArrowDown: (shift) => shift ? zoom(1, 1.4) : move(0, -0.1),
  "+": () => zoom(1 / 1.4, 1 / 1.4), "=": () => zoom(1 / 1.4, 1 / 1.4), "-": () => zoom(1.4, 1.4), "0": lookAtAll,
  n: () => go(1), p: () => go(-1), Enter: () => chosen && closeUp(chosen), Escape: () => choose(null),
};

chart.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key](event.shiftKey);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === find) return;
  event.preventDefault();
  find.focus();
});
for (const button of document.querySelectorAll("button[data-key]"))
  button.addEventListener("click", () => KEYS[button.dataset.key]());
find.addEventListener("input", search);
find.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { find.value = ""; search(); choose(null); }
  if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
});
byId("tools").addEventListener("submit", (event) => event.preventDefault());
picker.addEventListener("change", () => {
  const program = data.programs[picker.value];
  if (!program) return lookAtAll();
  look(program.start, program.end, 0, program.sram_peak_bytes * 1.06);
});
new ResizeObserver(() => { layOut(); draw(); }).observe(chart);

figures();
layOut();
draw();
