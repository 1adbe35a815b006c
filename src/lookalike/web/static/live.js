// Follows a part of the page while a run is played: asked for every second, replaced where it changed.
// What the server sends is its own escaped template; keyboard focus and scrolled tables stay where they were.
const part = document.querySelector("[data-live]");

async function look() {
  if (document.hidden) return;
  const tag = part.querySelector("[data-tag]")?.dataset.tag;
  const address = new URL(part.dataset.live, location.href);
  if (tag) address.searchParams.set("seen", tag);
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (answer.status !== 200) return;
  const text = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = [...text.body.childNodes];
  const wrapper = document.createElement("div");
  wrapper.append(...fresh.map((node) => document.importNode(node, true)));
  if (wrapper.innerHTML.trim() === part.innerHTML.trim()) return;
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const held = part.contains(document.activeElement) ? document.activeElement : null;
  if (held && held.matches("select, input")) return; // somebody is choosing something
  const path = held ? held.getAttribute("href") : null;
  part.replaceChildren(...wrapper.childNodes);
  part.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = scrolled[i] ?? 0; });
  if (path) [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === path)?.focus();
}

if (part) {
  const every = Number(part.dataset.every);
  const again = () => look().catch(() => {}).finally(() => setTimeout(again, every));
  setTimeout(again, every);
}
