// Makes elements out of data. Text only ever goes in as text: nothing here reads markup.
const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name || "div");
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) made.append(child instanceof Node ? child : String(child));
  }
  return made;
}

export function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function signed(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) < 0.005 ? "0.00" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

export function worth(value) {
  const kind = value >= 0.005 ? "value.plus" : value <= -0.005 ? "value.minus" : "value";
  return el(`span.${kind}`, {}, signed(value));
}

export function clock(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

// What only a script answers is marked data-wait and is off until the script does answer: so nothing is
// clicked in vain, and no form is sent by the browser itself.
export function ready(place = document) {
  for (const waiting of place.querySelectorAll("[data-wait]")) {
    waiting.disabled = false;
    waiting.removeAttribute("data-wait");
  }
}

export async function ask(address, body) {
  const how = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(address, how);
  const text = await answer.text();
  let data;
  try { data = JSON.parse(text); } catch { data = { error: text.slice(0, 300) || `status ${answer.status}` }; }
  if (!answer.ok) throw new Error([data.error, data.got && `Got: ${data.got}`, data.remedy].filter(Boolean).join(" "));
  return data;
}
