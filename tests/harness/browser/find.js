// Arguments: what is looked for (`control`, `choice` or `field`), its words, and the text of the part it is in, or ''.
// Answers the element, or why there is none.
const [kind, words, part] = arguments;
const plain = (text) => (text ?? '').replace(/\s+/g, ' ').trim();
const shows = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('[aria-hidden=true]');
const says = (element) => [element.innerText, element.textContent, element.value, element.ariaLabel].map(plain);
// Of a label with a hint in it, the label alone.
const parts = (element) => [...element.childNodes].flatMap((node) =>
  node.nodeType === Node.TEXT_NODE ? [plain(node.data)] : node.nodeType === Node.ELEMENT_NODE ? [plain(node.textContent), ...parts(node)] : []);

const controls = () => [...document.querySelectorAll('a[href], button, summary, input[type=submit], input[type=button]')];
const labels = () => [...document.querySelectorAll('label')];
const nameless = () => [...document.querySelectorAll('input[aria-label], select[aria-label], textarea[aria-label]')];

const within = (candidates) => {
  if (part === '') return candidates;
  const places = [...document.querySelectorAll('tr, li, fieldset, section, article, form, dialog, nav, header, main, [role=region]')]
    .filter((place) => shows(place) && plain(place.innerText).includes(part));
  // The smallest one that has any of them.
  const smallest = places.reverse().find((place) => candidates.some((candidate) => place.contains(candidate)));
  return smallest ? candidates.filter((candidate) => smallest.contains(candidate)) : [];
};
const best = (candidates) => {
  const seen = candidates.filter(shows);
  const whole = within(seen.filter((element) => says(element).includes(words)));
  return whole.length > 0 ? whole : within(seen.filter((element) => parts(element).includes(words)));
};

let found = best(kind === 'control' ? controls() : [...labels(), ...nameless()]);
if (kind === 'field') found = found.map((label) => label.control ?? label);
if (kind === 'control') {
  // Two links to one place are one.
  const first = found[0]?.href;
  if (first && found.every((link) => link.href === first)) found = [found[0]];
}
if (found.length === 1) return found[0];
return found.length === 0 ? 'is not there' : `is there ${found.length} times`;
