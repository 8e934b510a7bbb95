package skillhost

import (
	"encoding/json"
	"fmt"
	"strings"

	wit "skillhost/internal/wit/types"
)

func optional[T any](value *T) wit.Option[T] {
	if value == nil {
		return wit.None[T]()
	}
	return wit.Some(*value)
}

// named is a text that may be empty for none.
func named(text string) wit.Option[string] {
	if text == "" {
		return wit.None[string]()
	}
	return wit.Some(valid(text))
}

// valid is a text that may cross to the host: what is no UTF-8 would end the instance.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// written is a value as JSON, where there is one.
func written(value any, there bool) wit.Option[string] {
	if !there {
		return wit.None[string]()
	}
	return wit.Some(text(value))
}

// text is a value as JSON. What cannot be one is a mistake in the program.
func text(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Errorf("this has no JSON: %w", err))
	}
	return string(encoded)
}

// raw is JSON that may not be there.
func raw(text wit.Option[string]) json.RawMessage {
	if text.IsNone() {
		return nil
	}
	return json.RawMessage(text.Some())
}
