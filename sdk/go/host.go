package skillhost

import (
	"encoding/json"
	"errors"
	"strings"

	types "skillhost/internal/bindings/skillhost_skill_types"
	"skillhost/internal/world"
)

// changed says that this call has changed something that the host knows of: what is refused after that did not leave all as it was.
var changed bool

// changing notes an effect.
func changing(err error) error {
	changed = changed || err == nil
	return err
}

// Progress tells how far the call is; done must grow. total 0 and message "" are left out. Cheap: the host passes on as many
// as the client can take.
func Progress(done, total float64, message string) {
	var known *float64
	if total != 0 {
		known = &total
	}
	var said *string
	if message = valid(message); message != "" {
		said = &message
	}
	world.The().Progress(done, known, said)
}

// Cancelled says whether the client gave up on the call: a good place to stop.
func Cancelled() bool { return world.The().Cancelled() }

// PrepareUndo keeps what Undo needs, before the first effect. It is on disk when this returns.
func PrepareUndo(token any) error { return changing(world.The().PrepareUndo(text(token))) }

// CallTool calls another skill's tool by its full name, where that is granted. Its structured result, else its text, goes
// into result, which may be nil. Its failure is the error, and so is an answer of "no".
func CallTool(name string, arguments, result any) error {
	var given *string
	if arguments != nil {
		encoded := text(arguments)
		given = &encoded
	}
	reply, err := world.The().CallTool(name, given)
	_ = changing(err)
	var failed world.Failed
	if errors.As(err, &failed) {
		return failureOf(failed.Failure)
	}
	if err != nil {
		return err
	}
	var said []string
	for _, block := range reply.Content {
		if block.Content.Tag() == types.ContentText {
			said = append(said, block.Content.Text())
		}
	}
	answer := strings.Join(said, "\n")
	if reply.IsError {
		return Permanent("%s answers no: %s", name, answer)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal([]byte(reply.Structured.SomeOr(text(answer))), result)
}

// Config is a setting that the operator gave; "" where there is none.
func Config(key string) (string, error) {
	value, _, err := world.The().Config(key)
	return value, err
}

// AllConfig is all settings.
func AllConfig() (map[string]string, error) { return world.The().AllConfig() }

// Secret is one that was granted. The host keeps it out of logs and replies.
func Secret(name string) (string, error) { return world.The().Secret(name) }

// ToolsChanged tells that the tools are others now: the host lists them anew after the call.
func ToolsChanged() error { return world.The().Changed("tools") }

// PromptsChanged is as [ToolsChanged].
func PromptsChanged() error { return world.The().Changed("prompts") }

// ResourcesChanged is as [ToolsChanged].
func ResourcesChanged() error { return world.The().Changed("resources") }

// ResourceUpdated tells those who subscribed to it.
func ResourceUpdated(uri string) error { return world.The().ResourceUpdated(uri) }

// Store is the skill's own values, which stay over calls and restarts. It needs a grant.
var Store store

type store struct{}

// Get is a value, and whether there is one; nil where there is none.
func (store) Get(key string) (value []byte, found bool, err error) {
	value, found, err = world.The().Get(key)
	if found && value == nil {
		// So that nil says the same as found.
		value = []byte{}
	}
	return value, found, err
}

// Set keeps a value. It is on disk when this returns.
func (store) Set(key string, value []byte) error { return changing(world.The().Set(key, value)) }

// Delete takes a value away. It need not be there.
func (store) Delete(key string) error { return changing(world.The().Delete(key)) }

// Has says whether there is a value.
func (store) Has(key string) (bool, error) { return world.The().Has(key) }

// Keys are all keys.
func (store) Keys() ([]string, error) { return world.The().Keys() }
