// Package world is all that a skill can reach outside of itself: the host in a component, a stand-in in tests.
package world

import types "skillhost/internal/bindings/skillhost_skill_types"

// World is the host's side.
type World interface {
	Progress(done float64, total *float64, message *string)
	Cancelled() bool
	// Changed tells that `tools`, `prompts` or `resources` are others now.
	Changed(what string) error
	ResourceUpdated(uri string) error
	PrepareUndo(token string) error
	// CallTool fails with a [Failed] or an [Error].
	CallTool(name string, arguments *string) (types.Reply, error)
	Secret(name string) (string, error)
	Config(key string) (value string, found bool, err error)
	AllConfig() (map[string]string, error)
	Get(key string) (value []byte, found bool, err error)
	Set(key string, value []byte) error
	Delete(key string) error
	Has(key string) (bool, error)
	Keys() ([]string, error)
	Log(level uint8, message string)
}

// Now is the one that counts.
var Now World

// The is Now, which must be there.
func The() World {
	if Now == nil {
		panic("there is no host here: a test makes one with skillhosttest.New")
	}
	return Now
}

// Error is why the host did not do what was asked.
type Error struct {
	// Kind is not-offered, denied, invalid, unavailable, ended, or other.
	Kind    string
	Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Kind
	}
	return e.Kind + ": " + e.Message
}

// Failed is another tool's failure.
type Failed struct{ Failure types.Failure }

func (Failed) Error() string { return "the tool failed" }

// What skillhosttest needs of skillhost, and nobody else.
var (
	FailureOf func(types.Failure) error
	FailureIn func(error) types.Failure
	ReplyOf   func(any) types.Reply
)
