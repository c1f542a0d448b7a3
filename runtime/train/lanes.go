package train

import (
	"context"
	"sync"
)

// ordered runs work(lane, i) for i in 0..n-1 on the given number of lanes and hands the results to consume in the order of i.
// At most inFlight results exist that were not consumed yet. The first error by i, or the context's, ends it; consume is never
// called past an error; what was computed by then goes to drop, if that is not nil. Lanes are numbered 0..lanes-1 and one lane
// never works on two units at a time.
func ordered[T any](ctx context.Context, n, lanes, inFlight int, work func(lane, i int) (T, error), consume func(i int, v T) error, drop func(T)) error {
	type result struct {
		v   T
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	slots := make([]chan result, n)
	for i := range slots {
		slots[i] = make(chan result, 1)
	}
	next, tokens := make(chan int), make(chan struct{}, max(inFlight, 1))
	go func() {
		defer close(next)
		for i := range n {
			select {
			case tokens <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	var wait sync.WaitGroup
	for lane := range min(lanes, n) {
		wait.Go(func() {
			for i := range next {
				v, err := work(lane, i)
				slots[i] <- result{v, err}
			}
		})
	}
	taken := 0
	defer func() {
		cancel()
		wait.Wait()
		for _, slot := range slots[taken:] {
			select {
			case r := <-slot:
				if r.err == nil && drop != nil {
					drop(r.v)
				}
			default:
			}
		}
	}()
	for i := range n {
		select {
		case r := <-slots[i]:
			taken = i + 1
			if r.err != nil {
				return r.err
			}
			if err := consume(i, r.v); err != nil {
				return err
			}
			<-tokens
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
