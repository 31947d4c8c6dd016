// Runs, reads and closing of one device happen one after another, in the order they were asked for.
import { toGpuError } from './native.js';

export class Queue {
  private readonly waiting: (() => void)[] = [];
  private busy = false;

  /** Starts `job` at once where nothing is under way, else after what is; its errors arrive as GpuError. */
  add<T>(job: () => Promise<T> | T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const start = (): void => {
        this.busy = true;
        let result: Promise<T> | T;
        try {
          result = job();
        } catch (error) {
          reject(toGpuError(error) as Error);
          this.next();
          return;
        }
        Promise.resolve(result)
          .then(resolve, (error: unknown) => reject(toGpuError(error) as Error))
          .finally(() => this.next());
      };
      if (this.busy) this.waiting.push(start);
      else start();
    });
  }

  private next(): void {
    this.busy = false;
    this.waiting.shift()?.();
  }
}
