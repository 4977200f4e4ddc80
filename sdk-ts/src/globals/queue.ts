// The work that waits inside a component. A call is synchronous for the host, so nothing would ever run
// what a promise left behind: the boundary drains this queue before it answers.

type Job = () => void;

const jobs: Job[] = [];

/** Runs it after what runs now, in order. */
export function enqueue(job: Job): void {
  jobs.push(job);
}

/** Runs until nothing waits. */
export function drain(): void {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    job();
  }
}
