// What all charts share: elements, numbers, the tip beside the pointer.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const tip = byId("tip");

function make(parent, name, attributes = {}, text = null) {
  const svg = ["svg", "g", "rect", "line", "text", "path", "circle", "clipPath", "defs"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

const objects = ({ columns, rows }) =>
  rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));

const whole = (value) => Math.round(value).toLocaleString("en-US");
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const microseconds = (cycles) => (cycles * 1e6) / data.npu.clock_hz;

function time(us) {
  const [value, unit] = us >= 1e6 ? [us / 1e6, "s"] : us >= 1e3 ? [us / 1e3, "ms"] : us >= 1 ? [us, "\u00b5s"] : [us * 1e3, "ns"];
  return us ? `${+value.toPrecision(4)} ${unit}` : "0";
}

function amount(value, unit, step = 1000, prefixes = ["", "k", "M", "G", "T"]) {
  let index = 0;
  while (value >= step && index < prefixes.length - 1) [value, index] = [value / step, index + 1];
  return `${value >= 100 ? Math.round(value) : +value.toPrecision(3)} ${prefixes[index]}${unit}`.trim();
}

const bytes = (value) => amount(value, "B", 1024, ["", "Ki", "Mi", "Gi"]);

function showTip(event, title, rows) {
  tip.replaceChildren();
  make(tip, "b", {}, title);
  const table = make(tip, "table");
  for (const [name, value] of rows) {
    const row = make(table, "tr");
    make(row, "th", {}, name);
    make(row, "td", {}, value);
  }
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 16 + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? event.clientY + 16 : event.clientY - tip.offsetHeight - 12}px`;
}

const hideTip = () => void (tip.hidden = true);
