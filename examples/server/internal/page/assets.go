package page

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
)

const assetsPath = "/assets/"

// assetsURL is where the assets of this build are. It changes with them, so that browsers may keep them for ever.
var assetsURL = assetsPath + fingerprint(assetTree())

// Assets returns below which address page.css and icon.svg are, by which other pages look like this one.
func Assets() string { return assetsURL }

// fingerprint returns a short hash of all files.
func fingerprint(tree fs.FS) string {
	hash := sha256.New()
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, path)
		hash.Write([]byte(path))
		hash.Write(content)
		return err
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

// assets serves the files of this build, and nothing under the address of another one.
func assets() http.Handler {
	files := http.StripPrefix(assetsURL, http.FileServerFS(assetTree()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, assetsURL+"/") || strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		files.ServeHTTP(w, r)
	})
}
