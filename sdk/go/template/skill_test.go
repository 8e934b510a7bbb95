package main

import (
	"errors"
	"testing"

	"skillhost"
	"skillhost/skillhosttest"
)

func TestItGreets(t *testing.T) {
	got, err := skillhosttest.New(t).Call("greet", Greet{Name: "Ada"})
	if err != nil || got.Text != "Hello, Ada!" {
		t.Fatal(got.Text, err)
	}
}

func TestItGreetsNobody(t *testing.T) {
	_, err := skillhosttest.New(t).Call("greet", Greet{Name: " "})
	var failure *skillhost.Failure
	if !errors.As(err, &failure) || failure.Kind != skillhost.KindInvalidInput {
		t.Fatal(err)
	}
}
