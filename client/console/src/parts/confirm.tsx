// A question before something that is hard to undo. The browser's dialog keeps the focus inside and gives it back.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props { title: string; yes: string; danger?: boolean; children: ComponentChildren; answer: (agreed: boolean) => void }

export function Confirm({ title, yes, danger, children, answer }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={() => answer(dialog.current?.returnValue === "yes")}>
      <form method="dialog">
        <h2 id="confirm-title">{title}</h2>
        {children}
        <p class="buttons">
          <button value="no" autofocus>Cancel</button>
          <button value="yes" class={danger ? "danger" : "primary"}>{yes}</button>
        </p>
      </form>
    </dialog>
  );
}
