// Hooks that more than one view uses.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { keys } from "../keys";
import { live, subscribe, type Live } from "../live";

function useTold(listen: (listener: () => void) => () => void): void {
  const [, setTurn] = useState(0);
  useEffect(() => listen(() => setTurn((turn) => turn + 1)), [listen]);
}
const onKeys = (listener: () => void) => keys.subscribe(listener);

export function useLive(): Live {
  useTold(subscribe);
  return live;
}

export function useKeys(): typeof keys {
  useTold(onKeys);
  return keys;
}

export interface Task<T> {
  running: boolean;
  result: T | undefined;
  error: Error | undefined;
  run: (work: (signal: AbortSignal) => Promise<T>) => void;
}

// One piece of work at a time: what is begun anew ends what ran before, and so does leaving the view.
export function useTask<T>(): Task<T> {
  const [state, setState] = useState<Pick<Task<T>, "running" | "result" | "error">>(
    { running: false, result: undefined, error: undefined });
  const controller = useRef<AbortController>(undefined);
  useEffect(() => () => controller.current?.abort(), []);
  const run = useCallback((work: (signal: AbortSignal) => Promise<T>) => {
    controller.current?.abort();
    const mine = new AbortController();
    controller.current = mine;
    setState((before) => ({ running: true, result: before.result, error: undefined }));
    work(mine.signal).then(
      (result) => { if (!mine.signal.aborted) setState({ running: false, result, error: undefined }); },
      (error: unknown) => {
        if (mine.signal.aborted) return;
        // Plain errors and the API's are for the reader; others are faults of the console.
        if (!(error instanceof ApiError) && (error as Error).constructor !== Error) console.error(error);
        setState({ running: false, result: undefined, error: error instanceof Error ? error : new Error(String(error)) });
      });
  }, []);
  return { ...state, run };
}
