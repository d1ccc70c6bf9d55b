// Elements from plain values. Text is set as text: nothing that a report says can become markup.
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const box = () => document.getElementById("message");
let timer = null;

// One sentence at the foot of the page, for a while.
export function say(text) {
  box().textContent = text;
  box().hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (box().hidden = true), 7000);
}
