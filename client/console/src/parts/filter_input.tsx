// An input for filters that completes names, operators and values: a combobox with a list, by the pattern of ARIA.
import { useRef, useState } from "preact/hooks";
import { accept, complete, type Completion } from "../filter";
import type { Attribute } from "../sample";

interface Props { id: string; value: string; attributes: readonly Attribute[]; set: (value: string) => void }

const kNone: Completion = { from: 0, to: 0, options: [] };

export function FilterInput({ id, value, attributes, set }: Props) {
  const input = useRef<HTMLInputElement>(null);
  // What is offered and what of it is chosen. Kept beside the drawing, since keys may come faster than it.
  const now = useRef({ completion: kNone, chosen: -1 });
  const [, redraw] = useState(0);
  const show = (completion: Completion, chosen = -1) => {
    now.current = { completion, chosen };
    redraw((turn) => turn + 1);
  };
  const look = () => {
    const element = input.current!;
    show(complete(element.value, element.selectionStart ?? element.value.length, attributes));
  };
  const take = (option: string) => {
    const element = input.current!;
    const taken = accept(element.value, now.current.completion, option);
    element.value = taken.text;
    element.setSelectionRange(taken.cursor, taken.cursor);
    set(taken.text);
    look();
  };
  const press = (event: KeyboardEvent) => {
    const { completion, chosen } = now.current;
    const open = completion.options.length > 0, last = completion.options.length - 1;
    if (event.key === "Escape" && open) show(kNone);
    else if (event.key === "ArrowDown" && !open) look();
    else if (event.key === "ArrowDown") show(completion, chosen >= last ? 0 : chosen + 1);
    else if (event.key === "ArrowUp" && open) show(completion, chosen <= 0 ? last : chosen - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) take(completion.options[chosen]!);
    else return;
    event.preventDefault();
  };
  const { completion, chosen } = now.current;
  const open = completion.options.length > 0;
  return (
    <div class="combobox">
      <input id={id} ref={input} type="text" role="combobox" autocomplete="off" spellcheck={false} aria-autocomplete="list"
        aria-expanded={open} aria-controls={`${id}-list`} aria-activedescendant={chosen >= 0 ? `${id}-${chosen}` : undefined}
        aria-describedby={`${id}-hint`} value={value} onKeyDown={press} onBlur={() => show(kNone)} onFocus={look}
        onInput={(event) => { set(event.currentTarget.value); look(); }} />
      <ul id={`${id}-list`} role="listbox" aria-label="Completions" hidden={!open}>
        {completion.options.map((option, i) => (
          <li key={option} id={`${id}-${i}`} role="option" aria-selected={i === chosen}
            onMouseDown={(event) => { event.preventDefault(); take(option); }}>{option}</li>
        ))}
      </ul>
    </div>
  );
}
