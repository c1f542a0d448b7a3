package ort_test

import (
	"testing"

	"mixr/runtime/ort/orttest"
)

func TestProbe(t *testing.T) {
	e := orttest.Open(t)
	if err := e.Probe(); err != nil {
		t.Fatal(err)
	}
}
