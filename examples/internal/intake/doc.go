// Package intake reads usage events from files and streams, and records them.
//
// # What it reads
//
// CSV whose first line names the columns, or JSON lines, one object per line; either may be gzipped. What it is, the content
// says, not a name. The columns, or members, are those of [Fields]; time is another word for timestamp, and JSON lines may
// also have the labels of a [usage.Event]. Every other column is a label of its name. An empty value is as if it were absent.
//
// A time is as in RFC 3339, with any number of decimals. A blank may stand for the T, and without an offset it is in UTC:
// 2023-11-16 18:15:46.6805900. Amounts are numbers as in JSON.
//
// # Rows without an id
//
// A row that brings no id gets one from a running hash of all unpacked bytes up to its end. So the same file, a stream of it,
// and a log that has grown since give a row the same id, while equal rows of one file have different ones. The last row of a
// file counts whether or not a line break follows it: a log that is just being written should be read up to a whole row.
//
// # Bad rows
//
// A row that can't be read is a [*RowError] and costs none of the others. That holds also for a quote that is never closed,
// and for a row of more than 1 MiB, which is why the memory that reading takes is bounded whatever the file.
package intake
