package skillhost

import (
	types "skillhost/internal/bindings/skillhost_skill_types"
	wit "skillhost/internal/wit/types"
)

// Reply is what a tool answers, where more is to be said than a value.
type Reply struct {
	content    []types.ContentBlock
	structured any
	hasJSON    bool
	isError    bool
	token      any
	hasToken   bool
	meta       any
}

// Say is a reply that begins with a text.
func Say(text string) *Reply { return new(Reply).Text(text) }

// SayNo says that the tool ran, and answers "no".
func SayNo(text string) *Reply {
	r := Say(text)
	r.isError = true
	return r
}

// Text adds a text, for people and models.
func (r *Reply) Text(text string) *Reply { return r.add(types.MakeContentText(valid(text))) }

// Image adds a picture; its bytes are encoded by the host.
func (r *Reply) Image(data []byte, mimeType string) *Reply {
	return r.add(types.MakeContentImage(types.Media{Data: data, MimeType: mimeType}))
}

// Audio adds a sound; its bytes are encoded by the host.
func (r *Reply) Audio(data []byte, mimeType string) *Reply {
	return r.add(types.MakeContentAudio(types.Media{Data: data, MimeType: mimeType}))
}

// Link adds a resource that the client may read.
func (r *Reply) Link(link Link) *Reply {
	return r.add(types.MakeContentResourceLink(types.ResourceLink{
		Uri: valid(link.URI), Name: valid(link.Name), Title: named(link.Title), Description: named(link.Description),
		MimeType: named(link.MIMEType), Size: wit.None[uint64](), Icons: wit.None[string](),
	}))
}

// Link points to a resource.
type Link struct{ URI, Name, Title, Description, MIMEType string }

// JSON is the structured result: any value that encoding/json takes.
func (r *Reply) JSON(value any) *Reply {
	r.structured, r.hasJSON = value, true
	return r
}

// Undoable keeps what Undo needs to take the call back, in the place of what [PrepareUndo] kept.
func (r *Reply) Undoable(token any) *Reply {
	r.token, r.hasToken = token, true
	return r
}

// Meta is handed to the client as the result's _meta: an object.
func (r *Reply) Meta(meta any) *Reply {
	r.meta = meta
	return r
}

func (r *Reply) add(content types.Content) *Reply {
	block := types.ContentBlock{Content: content, Annotations: wit.None[string](), Meta: wit.None[string]()}
	r.content = append(r.content, block)
	return r
}

// replied is what a tool returned: a text is a text, nothing is nothing, anything else is the structured result.
func replied(value any) types.Reply {
	var r *Reply
	switch value := value.(type) {
	case *Reply:
		r = value
	case Reply:
		r = &value
	case string:
		r = Say(value)
	case nil:
	default:
		r = new(Reply).JSON(value)
	}
	if r == nil {
		r = new(Reply)
	}
	return types.Reply{
		Content: r.content, Structured: written(r.structured, r.hasJSON), IsError: r.isError,
		UndoToken: written(r.token, r.hasToken), Meta: written(r.meta, r.meta != nil),
	}
}
