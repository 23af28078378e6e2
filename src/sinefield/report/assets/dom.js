// Elements, made of text alone: nothing in this page is ever parsed as markup.

const $ = (selector) => document.querySelector(selector);

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && !(node instanceof SVGElement)) node[name] = value;
    else node.setAttribute(name, value);
  }
  for (const child of [children ?? []].flat()) {
    if (child !== null) node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

const el = (name, attributes, children) => make(document.createElement(name), attributes, children);
const svg = (name, attributes, children) => make(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function select(label, options, value, onchange) {
  const list = el("select", { onchange: (event) => onchange(event.target.value) },
    options.map(([key, text]) => el("option", { value: key }, text)));
  list.value = value;
  return el("label", {}, [label + " ", list]);
}

function checkbox(label, checked, onchange) {
  return el("label", {}, [el("input", { type: "checkbox", checked, onchange: (event) => onchange(event.target.checked) }), " " + label]);
}

const tip = {
  show(event, text) {
    const box = $("#tip");
    box.textContent = text;
    box.hidden = false;
    box.style.left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8) + "px";
    box.style.top = Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8) + "px";
  },
  hide() { $("#tip").hidden = true; },
};
