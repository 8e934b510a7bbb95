// What a skill does in every language: tests/skills/behaves says it in Rust.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"skillhost"
)

type value struct {
	Value any `json:"value"`
}
type text struct {
	Text string `json:"text"`
}
type key struct {
	Key string `json:"key"`
}
type kind struct {
	Kind string `json:"kind"`
}
type count struct {
	Count int `json:"count"`
}
type keep struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}
type sure struct {
	Sure bool `json:"sure"`
}
type relayed struct {
	Tool string         `json:"tool"`
	Args map[string]any `json:"args"`
}

type grow struct {
	Garbage int `json:"garbage"`
}

var (
	calls   int
	garbage []byte
)

func init() {
	skillhost.Add(skillhost.Tool[value]{
		Name: "echo", Description: "Gives back what it is given.", ReadOnly: skillhost.Yes,
		Run: func(_ *skillhost.Call, in value) (any, error) { return in, nil },
	})
	skillhost.Add(skillhost.Tool[text]{
		Name: "say", Description: "Says a text.", ReadOnly: skillhost.Yes,
		Run: func(_ *skillhost.Call, in text) (any, error) { return in.Text, nil },
	})
	skillhost.Add(skillhost.Tool[kind]{Name: "fail", Description: "Fails as it is told to.", Run: fail})
	skillhost.Add(skillhost.Tool[count]{
		Name: "steps", Description: "Tells how far it is.", ReadOnly: skillhost.Yes,
		Run: func(_ *skillhost.Call, in count) (any, error) {
			for step := 1; step <= in.Count; step++ {
				skillhost.Progress(float64(step), float64(in.Count), fmt.Sprint("step ", step))
			}
			return "done", nil
		},
	})
	skillhost.Add(skillhost.Tool[key]{
		Name: "setting", Description: "Tells a setting.", ReadOnly: skillhost.Yes,
		Run: func(_ *skillhost.Call, in key) (any, error) {
			found, err := skillhost.Config(in.Key)
			if found == "" {
				return value{nil}, err
			}
			return value{found}, err
		},
	})
	skillhost.Add(skillhost.Tool[keep]{Name: "put", Description: "Keeps a value.", Run: put, Undo: unput})
	skillhost.Add(skillhost.Tool[key]{
		Name: "get", Description: "Tells a value.", ReadOnly: skillhost.Yes,
		Run: func(_ *skillhost.Call, in key) (any, error) {
			was, err := kept(in.Key)
			return value{was}, err
		},
	})
	skillhost.Add(skillhost.Tool[struct{}]{
		Name: "ask", Description: "Asks the person.", ReadOnly: skillhost.Yes,
		Run: func(call *skillhost.Call, _ struct{}) (any, error) {
			form, err := call.AskForm("sure", "Sure?", skillhost.SchemaOf[sure]())
			if err != nil {
				return nil, err
			}
			var answer sure
			if err := json.Unmarshal(form.Content, &answer); err != nil {
				return nil, err
			}
			return fmt.Sprint("sure: ", answer.Sure), nil
		},
	})
	skillhost.Add(skillhost.Tool[relayed]{
		Name: "relay", Description: "Calls another tool.",
		Run: func(_ *skillhost.Call, in relayed) (any, error) {
			var result any
			err := skillhost.CallTool(in.Tool, in.Args, &result)
			return value{result}, err
		},
	})
	skillhost.Add(skillhost.Tool[grow]{
		Name: "served", Description: "Counts the calls that this instance has served.", ReadOnly: skillhost.Yes, Reusable: true,
		Run: func(_ *skillhost.Call, in grow) (any, error) {
			garbage = make([]byte, in.Garbage)
			calls++
			return fmt.Sprint(calls), nil
		},
	})
	skillhost.Add(skillhost.Tool[text]{
		Name: "note", Description: "Writes a line of the log.", ReadOnly: skillhost.Yes,
		Run: func(_ *skillhost.Call, in text) (any, error) {
			slog.Warn(in.Text)
			return nil, nil
		},
	})
}

func fail(_ *skillhost.Call, in kind) (any, error) {
	switch in.Kind {
	case "invalid-input":
		return nil, skillhost.InvalidInput("as told")
	case "transient":
		return nil, skillhost.TransientFor(1500*time.Millisecond, "as told")
	case "permanent":
		return nil, skillhost.Permanent("as told")
	case "conflict":
		return nil, skillhost.Conflict("as told")
	case "missing-capability":
		return nil, skillhost.MissingCapability("roots")
	case "no":
		return skillhost.SayNo("as told"), nil
	default:
		return nil, errors.New("as told")
	}
}

func kept(key string) (*string, error) {
	bytes, found, err := skillhost.Store.Get(key)
	if !found {
		return nil, err
	}
	value := string(bytes)
	return &value, nil
}

func put(_ *skillhost.Call, in keep) (any, error) {
	was, err := kept(in.Key)
	if err != nil {
		return nil, err
	}
	if err := skillhost.PrepareUndo(was); err != nil {
		return nil, err
	}
	return nil, skillhost.Store.Set(in.Key, []byte(in.Value))
}

func unput(_ *skillhost.Call, in keep, undo skillhost.Undo) error {
	if undo.Token == nil {
		return nil
	}
	var was *string
	if err := json.Unmarshal(undo.Token, &was); err != nil {
		return err
	}
	if was == nil {
		return skillhost.Store.Delete(in.Key)
	}
	return skillhost.Store.Set(in.Key, []byte(*was))
}

func main() {}
