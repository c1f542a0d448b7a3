package weights

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// blockBytes is how much of a file one goroutine reads at a time, and then gives back to the system.
	blockBytes = 1 << 20

	// cachedBytes is how much of a block is widened and then looked through for NaN: it is still in the processor's cache by then.
	cachedBytes = 1 << 16

	// hugeBytes is the most that a fault maps, even to read a single byte: a huge page. Less than that cannot be given back for good
	// while the bytes beside it are read.
	hugeBytes = 1 << 21
)

// Float32 converts a tensor into dst, whose length must be the tensor's number of elements. Types other than F32, BF16 and
// F16 are an error. Values are checked only if Finite is set. A large tensor is shared between all processors.
//
// What was read is given back: the file's pages stay in the system's cache, but no longer count as memory of this process.
func (s *Store) Float32(name string, dst []float32) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	if n := t.count(); len(dst) != n {
		return fmt.Errorf("weights: %s: tensor %s: %v has %d elements, the destination %d", t.file, name, t.shape, n, len(dst))
	}
	return s.read(t, 0, dst)
}

// Float32Rows is Float32 of the rows [from, to) of a tensor's outermost dimension: a part of a tensor that fuses several. dst has
// to - from rows.
func (s *Store) Float32Rows(name string, from, to int, dst []float32) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	if len(t.shape) == 0 || from < 0 || to < from || to > t.shape[0] {
		return fmt.Errorf("weights: %s: tensor %s: %v has no rows [%d, %d)", t.file, name, t.shape, from, to)
	}
	row := 1
	for _, d := range t.shape[1:] {
		row *= d
	}
	if n := (to - from) * row; len(dst) != n {
		return fmt.Errorf("weights: %s: tensor %s: rows [%d, %d) of %v have %d elements, the destination %d",
			t.file, name, from, to, t.shape, n, len(dst))
	}
	return s.read(t, from*row, dst)
}

func (s *Store) find(name string) (tensor, error) {
	t, ok := s.tensors[name]
	if !ok {
		return t, fmt.Errorf("weights: %s: there is no tensor %s", s.path, name)
	}
	return t, nil
}

// read converts len(dst) elements of a tensor, the first of which has index first.
func (s *Store) read(t tensor, first int, dst []float32) error {
	k, ok := kinds[t.dtype]
	if !ok {
		hint := ""
		if width[t.dtype] == 1 {
			hint = ": a quantised checkpoint, take the one that it was made from"
		}
		return fmt.Errorf("weights: %s: tensor %s is %s, want F32, BF16 or F16%s", t.file, t.name, t.dtype, hint)
	}
	start := t.offset + first*k.size
	odd, err := parallel(len(dst), blockBytes/k.size, func(from, to int) (int, error) {
		return t.content.widen(k, s.Finite, start+from*k.size, dst[from:to])
	})
	switch {
	case err != nil:
		return fmt.Errorf("weights: %s: tensor %s: %w", t.file, t.name, err)
	case odd >= 0:
		return fmt.Errorf("weights: %s: tensor %s: element %d of %d is %v: the file is damaged, or its training had failed",
			t.file, t.name, first+odd, t.count(), dst[odd])
	}
	return nil
}

// parallel calls f for blocks of [0, n), on all processors if there are several blocks. f returns an index that it objects to,
// counted from its first, or -1; parallel returns the smallest of [0, n), or -1. It stops early, but blocks are begun in order and
// finished, so that no smaller one is missed.
func parallel(n, block int, f func(from, to int) (int, error)) (int, error) {
	blocks := (n + block - 1) / block
	errs := make([]error, min(blocks, runtime.GOMAXPROCS(0)))
	var next atomic.Int64
	var found atomic.Int64
	found.Store(math.MaxInt64)
	work := func(w int) {
		for found.Load() == math.MaxInt64 && errs[w] == nil {
			i := int(next.Add(1)-1) * block
			if i >= n {
				return
			}
			var at int
			if at, errs[w] = f(i, min(i+block, n)); at < 0 {
				continue
			}
			for old := found.Load(); int64(i+at) < old && !found.CompareAndSwap(old, int64(i+at)); {
				old = found.Load()
			}
		}
	}
	var group sync.WaitGroup
	for w := range len(errs) - 1 {
		group.Go(func() { work(w) })
	}
	if len(errs) > 0 {
		work(len(errs) - 1)
	}
	group.Wait()
	if at := found.Load(); at != math.MaxInt64 {
		return int(at), errors.Join(errs...)
	}
	return -1, errors.Join(errs...)
}

// mapping is a whole file, mapped read-only.
type mapping []byte

// widen converts the values that begin at byte from into dst and gives their pages back. With check it returns the index in dst of the
// first value that is not finite; otherwise, or if there is none, -1. That the file was shortened, or its disk fails, is an error.
func (m mapping) widen(k kind, check bool, from int, dst []float32) (odd int, err error) {
	// A mapped page that cannot be read is a fault, which would end the process; so it is a panic of this goroutine instead.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			fault, ok := r.(interface{ Addr() uintptr })
			if !ok || fault.Addr()-uintptr(unsafe.Pointer(&m[0])) >= uintptr(len(m)) {
				panic(r)
			}
			odd, err = -1, errors.New("its bytes cannot be read: the file was changed since it was opened, or the disk fails")
		}
	}()
	for i := 0; i < len(dst); i += cachedBytes / k.size {
		part := dst[i:min(i+cachedBytes/k.size, len(dst))]
		src := m[from+i*k.size:][:len(part)*k.size]
		k.widen(part, src)
		if check && !k.finite(src) {
			return i + firstOdd(part), nil
		}
	}
	return -1, m.release(from, from+len(dst)*k.size)
}

// release tells the system that the bytes [from, to) will not be needed soon, and all that may have been mapped with them. If a
// neighbour is still being read, it is mapped again without reading the disk.
func (m mapping) release(from, to int) error {
	from, to = from/hugeBytes*hugeBytes, min((to+hugeBytes-1)/hugeBytes*hugeBytes, len(m))
	if err := unix.Madvise(m[from:to], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("release memory: %w", err)
	}
	return nil
}
