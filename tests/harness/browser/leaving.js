// Arguments: an element, or null for the one that has the focus; and what is done to it: `click` or a key.
// Answers whether that should lead to another page, and marks this one, to tell it from the next.
const [element, how] = arguments;
const here = { stays: false };
globalThis.hereBefore = here;
// Whatever a script of the page has taken over stays here.
for (const kind of ['click', 'submit']) {
  window.addEventListener(kind, (event) => setTimeout(() => { here.stays ||= event.defaultPrevented; }), { capture: true });
}

const target = (element ?? document.activeElement)?.closest('a[href], button, input, select, label');
const sends = (button) => button !== null && !button.disabled && (button.formNoValidate || button.form.noValidate || !button.form.matches(':invalid'));
if (!target || target.disabled) return false;
if (target.matches('a')) {
  const next = new URL(target.href);
  const same = next.origin + next.pathname + next.search === location.origin + location.pathname + location.search;
  return (how === 'click' || how === 'Enter') && !(same && next.hash !== '') && !target.download && target.target !== '_blank';
}
if (!target.form) return false;
if (target.matches('button[type=submit], button:not([type]), input[type=submit]')) {
  return (how === 'click' || how === 'Enter' || how === ' ') && sends(target);
}
const writes = target.matches('input') && !target.matches('[type=checkbox], [type=radio], [type=button], [type=reset]');
if (how !== 'Enter' || !(writes || target.matches('[type=checkbox], [type=radio]'))) return false;
const button = target.form.querySelector('button[type=submit], button:not([type]), input[type=submit]');
return sends(button);
