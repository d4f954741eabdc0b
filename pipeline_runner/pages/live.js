// The page asks for itself again and again, and what has changed of it is put in place. What is unchanged stays as it is:
// what is selected, unfolded, scrolled to, sorted and searched for.
let tag = "";
const link = document.getElementById("link");
const name = node => node.id || node.dataset?.stage || node.dataset?.key || "";
const alike = (one, other) => one.nodeName === other.nodeName && name(one) === name(other);
const mend = (old, fresh) => {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old === link || old.nodeName === "SCRIPT") return;
  if (old.classList.contains("lit")) fresh.classList.add("lit");
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  mendWithin(old, fresh);
};
const mendWithin = (old, fresh) => {
  const known = new Map();
  for (const child of old.children) if (name(child)) known.set(child.nodeName + name(child), child);
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = wanted.nodeName + name(wanted);
    const found = name(wanted) ? known.get(key) : at && alike(at, wanted) ? at : undefined;
    known.delete(key);
    if (found && found === at) at = at.nextSibling;
    else old.insertBefore(found ?? wanted, at);
    if (found) mend(found, wanted);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
};
const asLeft = page => {
  for (const head of document.querySelectorAll("table.sortable th[aria-sort]")) {
    const table = page.getElementById(head.closest("table").id);
    if (table) sort(table, head.cellIndex, head.getAttribute("aria-sort"));
  }
  for (const input of document.querySelectorAll("[data-filters]")) {
    const table = page.getElementById(input.dataset.filters);
    if (table && input.value) search(table, input.value);
  }
};
const show = text => {
  const page = new DOMParser().parseFromString(text, "text/html");
  dress(page);
  asLeft(page);
  const said = document.getElementById("said");
  const follows = said && said.scrollTop + said.clientHeight > said.scrollHeight - 30;
  document.title = page.title;
  mend(document.body, page.body);
  if (follows) said.scrollTop = said.scrollHeight;
};
const ask = async () => {
  const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  if (answer.status !== 304 && !answer.headers.get("content-type").startsWith("text/html")) throw new Error(answer.status);
  if (answer.status !== 304) show(await answer.text());
  tag = answer.headers.get("etag") ?? "";
};
const follow = async () => {
  if (!document.hidden) {
    try {
      await ask();
      link.textContent = "";
    } catch {
      link.textContent = "No answer: prun ui has ended. What is shown is what was known last.";
    }
  }
  setTimeout(follow, Number(document.body.dataset.every));
};
for (const said of document.querySelectorAll("#said")) said.scrollTop = said.scrollHeight;
setTimeout(follow, Number(document.body.dataset.every));
