package skillhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	types "skillhost/internal/bindings/skillhost_skill_types"
	wit "skillhost/internal/wit/types"
)

// Action is what a person did with a form or page.
type Action string

const (
	Accept  Action = "accept"
	Decline Action = "decline"
	Cancel  Action = "cancel"
)

// Form is what came of a form. Content is there when it was accepted.
type Form struct {
	Action  Action          `json:"action"`
	Content json.RawMessage `json:"content,omitempty"`
}

// Root is a folder that the client works in.
type Root struct {
	URI  string `json:"uri"`
	Name string `json:"name,omitempty"`
}

// Question is what can be asked.
type Question struct{ ask types.Ask }

// FormOf asks for a form. Its schema is an object's whose properties are primitives; [SchemaOf] makes one of a struct.
func FormOf(message string, schema Schema) Question {
	form := maps.Clone(schema)
	// Clients take no such words in a form.
	delete(form, "additionalProperties")
	if properties, ok := form["properties"].(Schema); ok {
		plain := Schema{}
		for name, property := range properties {
			plain[name] = notNull(property)
		}
		form["properties"] = plain
	}
	return Question{types.MakeAskForm(types.Form{Message: message, Schema: text(form)})}
}

// notNull is what orNull was made of.
func notNull(schema any) any {
	of, ok := schema.(Schema)
	if kinds, two := of["type"].([]string); ok && two && len(kinds) == 2 && kinds[1] == "null" {
		of = maps.Clone(of)
		of["type"] = kinds[0]
		return of
	}
	return schema
}

// PageOf asks to open a page; id names this question among all.
func PageOf(message, url, id string) Question {
	return Question{types.MakeAskUrl(types.Url{Message: message, Url: url, Id: id})}
}

// ModelOf asks the client's model: the parameters of sampling/createMessage.
func ModelOf(request any) Question { return Question{types.MakeAskSample(text(request))} }

// RootsOf asks for the folders the client works in.
func RootsOf() Question { return Question{types.MakeAskRoots()} }

// AskForm asks the person. Like all questions it is an error until it is answered: return that error, and the function runs
// again, from its beginning, with the answer. So ask before you act, under the same keys each time.
func (c *Call) AskForm(key, message string, schema Schema) (Form, error) {
	return one[Form](c, key, FormOf(message, schema))
}

// AskPage sends the person to a page.
func (c *Call) AskPage(key, message, url string) (Action, error) {
	form, err := one[Form](c, key, PageOf(message, url, c.ID+"/"+key))
	return form.Action, err
}

// AskModel asks the client's model. Request and result are those of sampling/createMessage.
func (c *Call) AskModel(key string, request any) (json.RawMessage, error) {
	return one[json.RawMessage](c, key, ModelOf(request))
}

// AskRoots asks for the folders the client works in.
func (c *Call) AskRoots() ([]Root, error) { return one[[]Root](c, "roots", RootsOf()) }

// AskAll asks several things in one round. Answers are JSON: of a [Form], of a list of [Root], or what the model said.
func (c *Call) AskAll(questions map[string]Question) (map[string]json.RawMessage, error) {
	missing, lacking := map[string]Question{}, map[string]bool{}
	for key, question := range questions {
		if _, known := c.answers[key]; known {
			continue
		}
		missing[key] = question
		if name, has := question.needs(c.Client); !has {
			lacking[name] = true
		}
	}
	if len(lacking) > 0 {
		return nil, MissingCapability(slices.Sorted(maps.Keys(lacking))...)
	}
	if len(missing) > 0 {
		return nil, &asking{missing}
	}
	answers := map[string]json.RawMessage{}
	for key := range questions {
		answers[key] = c.answers[key]
	}
	return answers, nil
}

func one[T any](c *Call, key string, question Question) (T, error) {
	var answer T
	answers, err := c.AskAll(map[string]Question{key: question})
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(answers[key], &answer); err != nil {
		panic(fmt.Errorf("%q was another question before: %w", key, err))
	}
	return answer, nil
}

// needs is what the client has to have for it.
func (q Question) needs(client Client) (name string, has bool) {
	switch q.ask.Tag() {
	case types.AskForm:
		return "elicitation", client.Form
	case types.AskUrl:
		return "elicitation.url", client.URL
	case types.AskSample:
		var request struct{ Tools json.RawMessage }
		if json.Unmarshal([]byte(q.ask.Sample()), &request) == nil && request.Tools != nil {
			return "sampling.tools", client.SamplingTools
		}
		return "sampling", client.Sampling
	default:
		return "roots", client.Roots
	}
}

// asking ends the call with questions.
type asking struct{ questions map[string]Question }

func (*asking) Error() string { return "the client is asked: a tool returns this error as it is" }

func asked(err error) *asking {
	var asked *asking
	errors.As(err, &asked)
	return asked
}

func (a *asking) wit(call *Call) types.InputRequired {
	var questions []types.Question
	for _, key := range slices.Sorted(maps.Keys(a.questions)) {
		questions = append(questions, types.Question{Key: key, Ask: a.questions[key].ask})
	}
	return types.InputRequired{Questions: questions, State: wit.Some([]byte(text(call.answers)))}
}
